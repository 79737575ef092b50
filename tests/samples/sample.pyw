"""What the module says."""
import os.path
from .store import Store, Reader as R

LIMIT = 10


@decorated(by="x")
class Orders(Base):
    """Keeps orders."""

    n = 1

    # A comment above.
    def add(
        self, key: str,  # the key
        much=LIMIT,
    ) -> Store:
        item = R(key)
        return self.repo.put(item)

    def one(self):
        return 1

    @property
    def two(self):
        """Two of them."""
        return os.path.join(self.n)


async def main():
    if LIMIT:
        await Orders().add("中")


if __name__ == "__main__":
    main()
