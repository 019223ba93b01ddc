"""Logistic regression or a linear support vector machine on pooled features (scikit-learn).

With ``features: opensmile:eGeMAPSv02`` it is the baseline of paralinguistics: 88 functionals per utterance (Eyben et
al. 2016), standardised with the training part's mean and deviation, a linear classifier whose C is chosen by UA on dev.
A linear model is a matrix and a vector, so the trained one is stored and applied as such, not as a pickle.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from espnet2.utils import config_argparse
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool, str2triple_str
from torch import Tensor, nn

from m4ser.data.features import Features
from m4ser.data.scp import read_scp
from m4ser.models.pooling import build_pooling
from m4ser.models.representations import Representations, length_mask
from m4ser.training.baselines.common import add_recipe_arguments, note_parameters
from m4ser.training.metrics import scores
from m4ser.utils.errors import UserError
from m4ser.utils.files import atomic_path, atomic_write

CLASSIFIERS = ("svm", "logistic")


class LinearModel(nn.Module):
    """softmax(W (pool(x) - m) / s + b). The answers of a support vector machine are not calibrated probabilities."""

    def __init__(self, labels: list[str], input_size: int, pooling: str):
        super().__init__()
        self.labels = list(labels)
        self.pool = build_pooling(pooling, input_size)
        size = self.pool.output_size
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(size, dtype=torch.float64))
        self.output = nn.Linear(size, len(labels), dtype=torch.float64)

    def represent(self, speech: Tensor, speech_lengths: Tensor) -> Representations:
        """(B, M, F), (B,) -> standardised pooled features (B, U)."""
        mask = length_mask(speech_lengths, speech.shape[1])
        return Representations((self.pool(speech.double(), mask) - self.mean) / self.deviation, speech, mask)

    def logits(self, reps: Representations) -> Tensor:
        """(B, E)."""
        return self.output(reps.utterance)


class LinearBaseline:
    """``task: linear``: what the recipe calls of a task."""

    @classmethod
    def get_parser(cls) -> argparse.ArgumentParser:
        """Options of a configuration, and those of ESPnet's that the recipe gives to every task."""
        parser = config_argparse.ArgumentParser(description=__doc__)
        add_recipe_arguments(parser)
        parser.add_argument(
            "--classifier", choices=CLASSIFIERS, default="svm", help="Linear SVM or logistic regression"
        )
        parser.add_argument("--pooling", default="mean", help="Over frames: mean, statistics or max")
        parser.add_argument(
            "--c_grid", type=float, nargs="+", default=[1.0], help="Values of C; the best UA on dev decides"
        )
        parser.add_argument("--class_weight", choices=["balanced", "none"], default="balanced", help="of scikit-learn")
        parser.add_argument("--max_iter", type=int, default=2000, help="of scikit-learn")
        parser.add_argument("--output_dir", default=None)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--ngpu", type=int, default=0)
        parser.add_argument("--resume", type=str2bool, default=True)
        for part in ("train", "valid"):
            path = f"--{part}_data_path_and_name_and_type"
            parser.add_argument(path, type=str2triple_str, action="append", default=[])
            parser.add_argument(f"--{part}_shape_file", action="append", default=[])
        parser.add_argument("--model_conf", action=NestedDictAction, default={})
        parser.set_defaults(best_model_criterion=[("valid", "ua", "max")])
        return parser

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> LinearModel:
        """Untrained, or to be filled from a checkpoint."""
        conf = args.speech_encoder_conf
        try:
            return LinearModel(args.labels, conf["num_layers"] * conf["input_size"], args.pooling)
        except ValueError as error:
            raise UserError(str(error)) from None

    @classmethod
    def main(cls, args: argparse.Namespace | None = None, cmd: Sequence[str] | None = None) -> None:
        """Train: fit for every C, keep the best on dev, leave the files that ESPnet's trainer would leave."""
        args = args or cls.get_parser().parse_args(cmd)
        model = cls.build_model(args)
        train, train_emotion = cls.read(args.train_data_path_and_name_and_type, model)
        dev, dev_emotion = cls.read(args.valid_data_path_and_name_and_type, model)
        mean, deviation = train.mean(0), train.std(0)
        deviation[deviation == 0] = 1.0  # a constant feature says nothing, and must not divide by zero
        train, dev = (train - mean) / deviation, (dev - mean) / deviation
        results: dict[float, float] = {}
        best: tuple[float, np.ndarray, np.ndarray] | None = None
        for c in sorted(args.c_grid):  # of equally good ones the strongest regularisation
            weight, bias = fit(train, train_emotion, len(args.labels), c, args)
            results[c] = scores(dev_emotion.tolist(), (dev @ weight.T + bias).argmax(1).tolist())["ua"]
            print(f"C {c:g}: UA {results[c]:.4f} on dev", flush=True)
            if best is None or results[c] > results[best[0]]:
                best = (c, weight, bias)
        if best is None:
            raise UserError("c_grid: is empty; give at least one value of C")
        args.chosen_c, weight, bias = best
        state = model.state_dict()
        for name, value in (
            ("mean", mean),
            ("deviation", deviation),
            ("output.weight", weight),
            ("output.bias", bias),
        ):
            state[name] = torch.from_numpy(np.asarray(value, dtype=np.float64))
        args.dev_ua = {f"{c:g}": round(ua, 6) for c, ua in results.items()}
        note_parameters(args, model)
        folder = Path(args.output_dir)
        with atomic_write(folder / "config.yaml") as file:
            yaml.safe_dump(_plain(vars(args)), file, sort_keys=False)
        with atomic_path(folder / "valid.ua.best.pth") as temporary:
            torch.save(state, temporary)

    @classmethod
    def read(cls, data: Sequence[tuple[str, str, str]], model: LinearModel) -> tuple[np.ndarray, np.ndarray]:
        """Pooled features (N, U) and class indices (N,) of one part."""
        files = {name: path for path, name, _ in data}
        emotion = read_scp(files["emotion"])
        rows = []
        features = Features(files["speech"])
        for utterance, matrix in features.items():
            frames = torch.from_numpy(matrix.copy()).double()[None]
            pooled = model.pool(frames, torch.ones(frames.shape[:2], dtype=torch.bool))[0].numpy()
            if not np.isfinite(pooled).all():
                raise UserError(f"{files['speech']}: {utterance} has features that are no numbers; run stage 1 again")
            rows.append(pooled)
            if emotion[utterance] not in model.labels:
                raise UserError(f"{files['emotion']}: {utterance}: unknown emotion {emotion[utterance]!r}")
        index = [model.labels.index(emotion[utterance]) for utterance in features]
        return np.stack(rows), np.array(index)


def fit(
    x: np.ndarray, y: np.ndarray, num_classes: int, c: float, args: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (E, U) and biases (E,) of one linear classifier per class; a class that is absent is never answered."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    present = np.unique(y)
    if len(present) < 2:
        raise UserError("the training part has one class only; a classifier needs two")
    conf: dict[str, Any] = {"C": c, "max_iter": args.max_iter, "random_state": args.seed}
    conf["class_weight"] = None if args.class_weight == "none" else args.class_weight
    classifier_class = LinearSVC if args.classifier == "svm" else LogisticRegression
    fitted = classifier_class(**conf).fit(x, y)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(present) == 2:  # scikit-learn has one line for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    all_weight = np.zeros((num_classes, x.shape[1]))
    all_bias = np.full(num_classes, -1e3)
    all_weight[present], all_bias[present] = weight, bias
    return all_weight, all_bias


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML can be read back safely."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
