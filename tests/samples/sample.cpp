#include <vector>
namespace acme {
template <typename T>
class Queue : public Base {
 public:
  Queue(int n);
  ~Queue() {
    clear();
    done();
  }
  void push(const T& x);
  bool operator==(const Queue& o) const { return true; }
 private:
  int n_;
};

/// Pushes.
template <typename T>
void Queue<T>::push(const T& x) {
  items.push_back(x);
  count++;
}

std::string Foo::bar() const {
  return "x";
}
}  // namespace acme
