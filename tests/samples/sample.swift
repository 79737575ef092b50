import Foundation
let limit = 3
/// Orders.
public class Orders: Base {
    var n = 1
    init(n: Int) {
        self.n = n
    }
    /// Finds it.
    func find(_ key: String) throws -> Order {
        return try repo.find(key)
    }
}
struct P { var x: Int }
enum K { case a, b }
protocol Repo {
    func save(o: Order)
}
extension Orders {
    func more() -> Int {
        let x = n
        return x
    }
}
