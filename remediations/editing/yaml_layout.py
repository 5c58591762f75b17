"""Where the parts of a YAML document stand in its text. Pure.

The nodes are ruamel's; positions are indexes of the whole text.
"""

from __future__ import annotations

from gapcheck.remediations.editing.keys import Keys, Plain


class Place:
    """A value: its node, the index where what introduces it (a colon, a dash) ends, its column.

    `column` is that of the key or the dash; -1 for the whole document. `alias` says that the
    text there is `*name`, whose node stands elsewhere.
    """

    def __init__(
        self, text: str, node: Plain, after: int, column: int, *, is_list_item: bool = False
    ) -> None:
        self.text = text
        self.is_list_item = is_list_item
        self.node = node
        self.after = after
        self.column = column
        at = after
        while at < len(text) and text[at] in " \t":
            at += 1
        self.alias = after > 0 and text[at : at + 1] == "*"
        self._at = at

    @property
    def is_table(self) -> bool:
        """Whether it is a mapping of its own."""
        return not self.alias and self.node.id == "mapping"

    @property
    def is_list(self) -> bool:
        """Whether it is a sequence of its own."""
        return not self.alias and self.node.id == "sequence"

    @property
    def is_flow(self) -> bool:
        """Whether it is written in brackets."""
        return not self.alias and bool(getattr(self.node, "flow_style", False))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is written: a null that is only a colon."""
        return not self.alias and self.start == self.node.end_mark.index and self.is_scalar

    @property
    def is_scalar(self) -> bool:
        """Whether it is one word, a string or a null."""
        return not self.alias and self.node.id == "scalar"

    @property
    def start(self) -> int:
        """Index of its first character."""
        return self._at if self.alias else int(self.node.start_mark.index)

    @property
    def end(self) -> int:
        """Index after its last character; comments and blank lines after it are outside."""
        if self.alias:
            at = self._at
            while at < len(self.text) and self.text[at] not in " \t\n,]}":
                at += 1
            return at
        if self.is_scalar:
            return self._scalar_end()
        if self.is_flow or not self.node.value:
            return int(self.node.end_mark.index)
        return self.members()[-1][1].end

    def _scalar_end(self) -> int:
        end = int(self.node.end_mark.index)
        if self.start == end:
            return self.after
        if self.node.style in ("|", ">"):
            header = self.text[self.start : self.text.find("\n", self.start)]
            raw = self.text[self.start : end]
            return self.start + len(raw if "+" in header else raw.rstrip("\n \t"))
        return end

    def members(self) -> list[tuple[Plain, Place]]:
        """Keys (or positions) and the places of their values, in the order of the text."""
        if self.is_table:
            return [(key.value, self._under(key, value)) for key, value in self.node.value]
        found: list[tuple[Plain, Place]] = []
        after = self.start
        for position, value in enumerate(self.node.value):
            place = self._item(value, after)
            found.append((position, place))
            after = place.end
        return found

    def key(self, position: int) -> Plain:
        """Node of the key of member `position` of a mapping."""
        return self.node.value[position][0]

    def _under(self, key: Plain, value: Plain) -> Place:
        colon = self.text.find(":", key.end_mark.index)
        return Place(self.text, value, colon + 1, key.start_mark.column)

    def _item(self, value: Plain, after: int) -> Place:
        if self.is_flow:
            at = max(after, self.start + 1)
            while self.text[at] in " \t\n,":
                at += 1
            return Place(self.text, value, at, -1)
        column = self.node.start_mark.column
        at = after
        while not (self.text[at] == "-" and self._column(at) == column):
            at = self.text.find("\n", at) + 1 + column if at != self.start else at + 1
        return Place(self.text, value, at + 1, column, is_list_item=True)

    def _column(self, at: int) -> int:
        return at - (self.text.rfind("\n", 0, at) + 1)

    def find(self, keys: Keys) -> tuple[Place, int]:
        """The deepest place on the way along `keys`, and how many of them lead there."""
        place = self
        for depth, key in enumerate(keys):
            if not (place.is_table or place.is_list):
                return place, depth
            inner = [value for name, value in place.members() if name == key]
            if not inner:
                return place, depth
            place = inner[-1]
        return place, len(keys)
