"""The error of everything that keeps a network from becoming an ONNX file."""

from pose.errors import UserError


class ExportError(UserError, ValueError):
    """A network that cannot be exported, or a file that cannot be trusted or written."""
