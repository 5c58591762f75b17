"""What a file holds after a change: the one function that every diff and every write uses. Pure."""

from __future__ import annotations

from gapcheck.errors import EditRefused
from gapcheck.remediations.editing.block_text import edit_block
from gapcheck.remediations.editing.json_text import edit_json
from gapcheck.remediations.editing.toml_text import edit_toml
from gapcheck.remediations.editing.yaml_text import edit_yaml
from gapcheck.remediations.plan import (
    EditBlock,
    EditJson,
    EditToml,
    EditYaml,
    FileChange,
    Literal,
    RemoveFile,
    SetMode,
    WriteFile,
)


def apply_edit(change: FileChange, content: bytes | None) -> bytes | None:
    """`content` after `change`; None = the file is absent, before or after.

    Applying twice gives what applying once gives. Raises EditRefused where the change does
    not apply to this content: it is not of the format, a position is not there, or the
    content of a WriteFile is still to be made by another change.
    """
    match change:
        case EditToml() | EditYaml() | EditJson() | EditBlock():
            return _edited(change, content)
        case WriteFile():
            return _written(change)
        case RemoveFile():
            return None
        case SetMode():
            return content
        case _:
            raise EditRefused(change.path, f"{type(change).__name__} is not a file change")


def _edited(change: EditToml | EditYaml | EditJson | EditBlock, content: bytes | None) -> bytes:
    match change:
        case EditToml():
            return edit_toml(change, content)
        case EditYaml():
            return edit_yaml(change, content)
        case EditJson():
            return edit_json(change, content)
        case EditBlock():
            return edit_block(change, content)


def _written(change: WriteFile) -> bytes:
    if isinstance(change.content, Literal):
        return change.content.data
    raise EditRefused(change.path, f"{change.content.name} is made by {change.content.change}")
