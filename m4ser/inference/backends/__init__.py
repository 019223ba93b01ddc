"""What computes a model's logits: PyTorch (:mod:`.torch`), or an exported graph and no PyTorch (:mod:`.onnx`)."""

from pathlib import Path

from m4ser.hub.stored import StoredModel
from m4ser.inference.backends.base import Network
from m4ser.utils.errors import UserError

__all__ = ["Network", "open_network"]


def open_network(
    stored: StoredModel, device: str = "auto", onnx: str | Path | bool = False, pretrained_dir: str | Path | None = None
) -> Network:
    """The network of a stored model; arguments as for :meth:`.EmotionRecognizer.from_pretrained`.

    Raises:
        UserError: it is damaged, there is no such device, or another graph is asked for than the one that it is.
        ModuleNotFoundError: it needs PyTorch, which is not installed.
    """
    if stored.graph is not None:
        from m4ser.inference.backends.onnx import open_graph

        if not isinstance(onnx, bool):
            raise UserError(f"--onnx {onnx}: the model is a whole graph itself; leave --onnx away")
        return open_graph(stored, device, pretrained_dir)
    from m4ser.inference.backends.torch import open_run

    return open_run(stored, device, onnx, pretrained_dir)
