"""Directives that fill the reference pages: ```` ```{generated} configuration ```` and so on."""

from collections.abc import Callable

from command_reference import command_reference
from configuration_reference import configuration_reference
from docutils import nodes
from format_reference import manifest_reference, sidecar_reference
from skeleton_reference import skeleton_reference
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MADE: dict[str, Callable[[], str]] = {
    "commands": command_reference,
    "configuration": configuration_reference,
    "manifest": manifest_reference,
    "sidecar": sidecar_reference,
    "skeletons": skeleton_reference,
}
"""What can be generated: functions that return Markdown."""


class Generated(SphinxDirective):
    """Markdown that is made from the code, in the place of the directive."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Raises an error of the build that lists what there is."""
        name = self.arguments[0]
        if name not in MADE:
            raise self.error(f"nothing makes {name!r}; there is {', '.join(MADE)}")
        return self.parse_text_to_nodes(MADE[name](), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
