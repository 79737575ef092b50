"""A shopping basket, with one method left for midline to write: `make demo` completes it."""

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass
class Item:
    name: str
    price: Decimal
    quantity: int = 1


@dataclass
class Basket:
    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Add an item, or more of one that is there."""
        for known in self.items:
            if known.name == item.name:
                known.quantity += item.quantity
                return
        self.items.append(item)

    def total(self) -> Decimal:
        """The price of all items together, in the currency's units."""
        

    def __len__(self) -> int:
        return sum(item.quantity for item in self.items)
