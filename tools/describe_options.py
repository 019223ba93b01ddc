#!/usr/bin/env python3
"""Write m4ser/training/options.json: what a training configuration may say, as a JSON Schema.

It is made from what builds the models: the options that the parsers of the tasks declare, ESPnet2's among them, and the
signatures of the classes that a configuration chooses. So a recipe can check a configuration when it starts, without
importing PyTorch and ESPnet2. Run it again when an option, a class or ESPnet2's version has changed; a test compares.
"""

import argparse
import builtins
import collections
import collections.abc
import contextlib
import inspect
import json
import sys
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from m4ser.utils.schema import Schema, described, schema_of

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "m4ser" / "training" / "options.json"

NONE = "none|null|nil"  # what ESPnet2 reads as no value
# What ESPnet2 hands to the classes by itself.
GIVEN = {"input_size", "vocab_size", "vocabulary_size", "encoder_output_size", "token_list", "frontend", "specaug"}
GIVEN |= {"normalize", "preencoder", "encoder", "postencoder", "decoder", "ctc", "joint_network", "params", "optimizer"}
GIVEN |= {"sizes", "labels", "speech_encoder", "text_encoder", "fusion", "objectives", "weights", "tools"}
GIVEN |= {"tokenizer", "speech_size", "text_size"}

WHOLE: Schema = {"type": ["integer", "string"], "pattern": r"^\s*[+-]?[0-9]+\s*$", "whole": True}
NUMBER: Schema = {"type": ["number", "string"], "pattern": r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"}
# By the name of what argparse calls on a text; a value in a file that is no text stays as it is.
TYPES: dict[str, Schema] = {
    "int": {**WHOLE, "description": "a whole number"},
    "int_or_none": {
        **WHOLE,
        "pattern": rf"^\s*([+-]?[0-9]+|(?i:{NONE}))\s*$",
        "description": "a whole number or none",
    },
    "float": {**NUMBER, "description": "a number"},
    "float_or_none": {
        **NUMBER,
        "pattern": rf"{NUMBER['pattern'][:-1]}|^\s*(?i:{NONE})\s*$",
        "description": "a number or none",
    },
    "str": {"type": "string", "description": "text"},
    "str_or_none": {"type": "string", "description": "text"},
    "str_or_int": {"type": ["string", "integer"], "whole": True, "description": "text or a whole number"},
    "str2bool": {
        "type": ["boolean", "string"],
        "pattern": "^(?i:y|yes|t|true|on|1|n|no|f|false|off|0)$",
        "description": "true or false",
    },
    "size": {
        "type": ["integer", "string"],
        "whole": True,
        "pattern": rf"^\s*([0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP]?i?[bB]?)|(?i:{NONE}))\s*$",
        "description": "a size such as 4G",
    },
    "triple": {
        "type": ["array", "string"],
        "items": {"type": "string", "description": "text"},
        "minItems": 3,
        "maxItems": 3,
        "pattern": r"^[^,]+,[^,]+,[^,]+$",
        "description": "three words",
    },
}
ALIASES = {"humanfriendly_parse_size_or_none": "size", "parse_size": "size", "str2triple_str": "triple", "None": "str"}
LEAST = {
    "max_epoch": 1,
    "batch_size": 1,
    "valid_batch_size": 1,
    "batch_bins": 1,
    "valid_batch_bins": 1,
    "accum_grad": 1,
    "num_workers": 0,
    "patience": 0,
    "log_interval": 1,
    "num_iters_per_epoch": 1,
    "keep_nbest_models": 1,
    "nbest_averaging_interval": 0,
    "num_att_plot": 0,
    "seed": 0,
    "ngpu": 0,
    "max_iter": 1,
    "c_grid": 1e-12,
}
LARGEST = 1 << 16  # of a layer, of anything that is counted
# Numbers of our own classes by their names: (least, most).
COUNTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        ("heads", "attention_heads", "pool", "upsample", "n_mels", "num_blocks", "linear_units"), (1, LARGEST)
    ),
    **dict.fromkeys(
        ("hidden", "speech_hidden", "mir_queries", "tokens", "max_pieces", "num_layers", "input_size"), (1, LARGEST)
    ),
    **dict.fromkeys(("size", "feed_forward", "layers", "cme_layers", "hma_layers", "output_size"), (0, LARGEST)),
    **dict.fromkeys(("keep_layers", "lora_rank", "time_masks", "freq_mask", "max_correction"), (0, LARGEST)),
    "trained_layers": (-1, LARGEST),
}
# Words of our own classes, which check them when they are built.
WORDS = {
    "layers": ["weighted", "concat"],
    "mir_query": ["concat", "text", "mixed", "learned"],
    "hma_norm": ["layer", "batch"],
    "cell": ["lstm", "gru"],
    "form": ["supcon", "clmlf"],
}
SHARES = (
    "modality_dropout",
    "dropout",
    "dropout_rate",
    "input_dropout",
    "time_mask",
    "masked_pieces",
    "label_smoothing",
)
NOT_NEGATIVE = ("type_weight", "reconstruction_weight", "invariant_weight", "lora_alpha", "diversity", "middle")
ABOVE_ZERO = ("temperature", "clamp", "frame_rate")
TASKS_OWN = "it follows from the task"
PHASES, BETTER = ["train", "valid"], ["min", "max"]


def _criterion(*choices: list[str] | None) -> Schema:
    """A list of words, of which some are to be chosen."""
    each = [
        {"enum": known, "description": described({"enum": known})}
        if known
        else {"type": "string", "description": "text"}
        for known in choices
    ]
    words = "a phase (train, valid), the name of a score" + (" and min or max" if len(each) == 3 else "")
    return {
        "type": "array",
        "prefixItems": each,
        "minItems": len(each),
        "maxItems": len(each),
        "description": f"a list of {words}",
    }


# Values that a parser cannot describe: lists of lists, what is a number or a list of numbers.
SPECIAL: dict[str, Schema] = {
    "best_model_criterion": {
        "type": "array",
        "items": _criterion(PHASES, None, BETTER)
        | {"type": ["array", "string"], "pattern": r"^\W*(train|valid)\W*,[^,]+,\W*(min|max)\W*$"},
        "minItems": 1,
        "description": "a list of lists such as [[valid, ua, max]]",
    },
    "early_stopping_criterion": _criterion(PHASES, None, BETTER),
    "val_scheduler_criterion": _criterion(PHASES, None),
    "keep_nbest_models": {
        **WHOLE,
        "type": ["integer", "array", "string"],
        "items": {**TYPES["int"], "minimum": 1},
        "minItems": 1,
        "minimum": 1,
        "description": "a whole number of 1 or more, or a list of such",
    },
}


def of_call(make: Callable[..., Any], extra: dict[str, Schema] | None = None, fills_in: bool = True) -> Schema:
    """The keyword arguments of a class or function, as a mapping.

    Args:
        make: what is called with them.
        extra: further keys.
        fills_in: what has no default is given by the caller, if it usually is.
    """
    properties, required = dict(extra or {}), []
    function = make.__init__ if inspect.isclass(make) else make
    # What a module imports for its types alone is not there now; nothing of it can be said in a configuration.
    names = collections.defaultdict(lambda: object)
    names |= {**vars(builtins), **vars(typing), **vars(collections.abc), **vars(sys.modules[make.__module__])}
    hints = typing.get_type_hints(function, globalns={}, localns=names, include_extras=True)
    open_ended = False
    for name, parameter in inspect.signature(make).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind is not parameter.VAR_POSITIONAL and not (fills_in and name in GIVEN):
            default = parameter.default
            schema = schema_of(hints[name]) if name in hints else _of_default(default)
            properties[name] = _limited(schema, make, name)
            if parameter.default is parameter.empty:
                required.append(name)
    whole: Schema = {"type": "object", "properties": properties, "description": "a mapping of key: value"}
    return (
        whole | ({} if open_ended else {"additionalProperties": False}) | ({"required": required} if required else {})
    )


def _limited(schema: Schema, make: Callable[..., Any], name: str) -> Schema:
    """With the limits that follow from the name of a parameter of our own classes."""
    from m4ser.models.encoders.fbank import FbankEncoder
    from m4ser.models.encoders.huggingface_text import HuggingFaceTextEncoder
    from m4ser.models.encoders.precomputed import PrecomputedEncoder
    from m4ser.models.pooling import POOLINGS

    json_type, limits = schema.get("type"), dict[str, Any]()
    if not make.__module__.startswith("m4ser"):
        return schema
    if json_type == "integer" and name in COUNTS:
        limits = dict(zip(("minimum", "maximum"), COUNTS[name], strict=True))
    elif json_type == "number" and name in SHARES:
        lowest = -1 if make is HuggingFaceTextEncoder else 0  # -1: the dropout of the model
        limits = {"minimum": lowest, "maximum": 1}
    elif json_type == "number" and name in NOT_NEGATIVE:
        limits = {"minimum": 0}
    elif json_type == "number" and name in ABOVE_ZERO:
        limits = {"exclusiveMinimum": 0}
    elif json_type == "string":
        first = "global" if make.__module__ == FbankEncoder.__module__ else "frame"
        words = {**WORDS, "pooling": list(POOLINGS), "text_pooling": list(POOLINGS)}
        over_training = ["corpus"] if make is PrecomputedEncoder else []
        words["normalise"] = [first, "utterance", *over_training, "none"]
        return {"enum": words[name], "description": described({"enum": words[name]})} if name in words else schema
    limited = {key: value for key, value in {**schema, **limits}.items() if key != "description"}
    return {**limited, "description": described(limited)} if limits else schema


def _of_default(default: Any) -> Schema:
    """What fits a parameter without annotation; an int can be the default of a number."""
    default_type = type(default)
    return schema_of(float if default_type is int else default_type) if default_type in (bool, int, float, str) else {}


def of_action(action: argparse.Action) -> Schema:
    """An option of a command line, and what it may be in a file."""
    if action.dest in SPECIAL:
        argument = {"argument": action.nargs} if action.nargs else {}
        return {**SPECIAL[action.dest], **argument}
    action_type = type(action).__name__
    if action_type == "NestedDictAction":
        return {"type": "object", "description": "a mapping of key: value", "argument": "mapping"}
    if action_type == "_StoreTrueAction":
        return {"type": "boolean", "description": "true or false", "argument": "flag"}
    if action.choices is not None:
        known = [choice for choice in action.choices if choice is not None]
        lowered = getattr(action.type, "__name__", "") == "<lambda>"
        one: Schema = {"enum": known + ["none"] * (None in action.choices)}
        one |= {"description": described(one)} | ({"any_case": True} if lowered else {})
    else:
        name = getattr(action.type, "__name__", str(action.type))
        one = dict(TYPES[ALIASES.get(name, name)])
    if action.dest in LEAST:
        one |= {"minimum": LEAST[action.dest]}
        number, none, _ = one["description"].partition(" or none")
        one["description"] = f"{number} of {LEAST[action.dest]} or more{none}"
    if action_type == "_AppendAction":
        return {
            "type": "array",
            "items": one,
            "description": f"a list, each {one['description']}",
            "argument": "repeated",
        }
    if action.nargs is None:
        return one
    size = {"minItems": action.nargs, "maxItems": action.nargs} if isinstance(action.nargs, int) else {}
    words = f"a list, each {one['description']}"
    return {"type": "array", "items": one, **size, "description": words, "argument": action.nargs}


def _where(**chosen: tuple[Iterable[str], str | None]) -> Schema:
    """A condition: each option has one of these values, or is left out if its default is one of them."""
    known = {name: list(values) for name, (values, _) in chosen.items()}
    needed = [name for name, (_, default) in chosen.items() if default not in known[name]]
    condition: Schema = {"properties": {name: {"enum": values} for name, values in known.items()}}
    return condition | ({"required": needed} if needed else {})


def of_task(name: str) -> tuple[Schema, dict[str, Schema]]:
    """The options of a task, and the mappings that these refer to, by name."""
    from espnet2.tasks.abs_task import optim_classes, scheduler_classes

    from m4ser.models.systems import SER, system_class
    from m4ser.training.baselines.linear import LinearBaseline

    task = system_class(name)
    parser = task.get_parser()
    known = vars(parser.parse_args([]))
    actions = [action for action in parser._actions if action.dest not in ("help", "config")]
    properties = {action.dest: of_action(action) for action in actions}
    for option in sorted(set(known) - set(properties) - {"config"}):  # what a task says of itself
        properties[option] = SPECIAL.get(option) or {"enum": [known[option]], "description": f"left out, {TASKS_OWN}"}
    properties["task"] = {"enum": [name], "description": name}
    rules: list[Schema] = []
    mappings: dict[str, Schema] = {}

    def choose(
        option: str, classes: dict[str, Schema], default: str | None, where: dict[str, Any] | None = None
    ) -> None:
        for chosen, mapping in classes.items():
            key = f"{option}/{chosen}"
            mappings[key] = mapping
            condition = _where(**{option: ([chosen], default)}, **(where or {}))
            target: Schema = {"properties": {f"{option}_conf": {"$ref": f"#/$defs/{key.replace('/', '~1')}"}}}
            if mapping.get("required"):
                target["required"] = [f"{option}_conf"]
            rules.append({"if": condition, "then": target})

    if name == SER:
        _of_model(properties, rules, mappings, choose)
    elif task is not LinearBaseline:
        for choices in task.class_choices_list:
            classes = {key: of_call(value) for key, value in choices.classes.items()}
            for mapping in classes.values():
                mapping.pop("required", None)  # much is given by the task
            choose(choices.name, classes, known[choices.name])
    if task is not LinearBaseline:
        small = {"lr", "weight_decay", "eps", "momentum"}
        for key, classes in (("optim", optim_classes), ("scheduler", scheduler_classes)):
            schemas = {name: of_call(value) for name, value in classes.items()}
            for mapping in schemas.values() if key == "optim" else ():
                for option in small & set(mapping["properties"]):
                    schema = mapping["properties"][option]
                    schema |= {"minimum": 0, "description": "a number of 0 or more"}
            choose(key, schemas, known[key])
        if name == SER:
            for optimizer in optim_classes:
                group = {"type": "object", "additionalProperties": {"$ref": f"#/$defs/optim~1{optimizer}"}}
                rules.append(
                    {
                        "if": _where(optim=([optimizer], known["optim"])),
                        "then": {"properties": {"param_groups": group}},
                    }
                )
    whole = {"type": "object", "properties": properties, "additionalProperties": False}
    return whole | ({"allOf": rules} if rules else {}), mappings


def _of_model(
    properties: dict[str, Schema], rules: list[Schema], mappings: dict[str, Schema], choose: Callable[..., None]
) -> None:
    """What a model of this project is built from."""
    from m4ser.models import build
    from m4ser.models.augment import AUGMENTATIONS
    from m4ser.models.fusion.m4ser import M4serFusion
    from m4ser.models.model import SERModel
    from m4ser.models.text import TextProcessor
    from m4ser.training.task import PARTS

    fusion = build.fusion_choices
    used = {
        build.speech_encoder_choices.name: [name for name, one in fusion.classes.items() if one.uses_speech],
        build.text_encoder_choices.name: [name for name, one in fusion.classes.items() if one.uses_text],
    }
    for choices in build.CHOICES:
        where = {fusion.name: (used[choices.name], fusion.default)} if choices.name in used else None
        choose(choices.name, {name: of_call(one) for name, one in choices.classes.items()}, choices.default, where)
    weight = {"weight": {"type": "number", "minimum": 0, "description": "a number of 0 or more"}}
    objectives = {name: of_call(one, weight) for name, one in build.OBJECTIVES.items()}
    properties["objectives"] |= {
        "properties": {name: {"$ref": f"#/$defs/objectives~1{name}"} for name in objectives},
        "additionalProperties": False,
    }
    mappings |= {f"objectives/{name}": mapping for name, mapping in objectives.items()}
    for ability, modality, lacking in (
        ("needs_edits", "text", "text_encoder"),
        ("needs_speech", "speech", "speech_encoder"),
    ):
        without = [name for name in fusion.classes if name not in used[lacking]]
        needing = [name for name, one in build.OBJECTIVES.items() if getattr(one, ability)]
        never: Schema = {"not": {}, "description": f"left out: it needs a fusion with {modality}"}
        rules.append(
            {
                "if": _where(fusion=(without, fusion.default)),
                "then": {"properties": {"objectives": {"properties": dict.fromkeys(needing, never)}}},
            }
        )
    others = [name for name, part in fusion.classes.items() if not issubclass(part, M4serFusion)]
    never = {"not": {}, "description": "left out: it needs specific and invariant representations, fusion: m4ser"}
    rules.append(
        {
            "if": _where(fusion=(others, fusion.default)),
            "then": {"properties": {"objectives": {"properties": {"adversarial": never}}}},
        }
    )
    mappings["text_conf"] = of_call(TextProcessor)
    mappings["model_conf"] = of_call(SERModel)
    strength = {"type": "number", "description": "a number"}
    mappings["model_conf"]["properties"]["augment"] = {
        "type": "object",
        "properties": dict.fromkeys(AUGMENTATIONS, strength),
        "additionalProperties": False,
        "description": "a mapping of name: strength",
    }
    mappings["model_conf"]["properties"]["class_weights"] = {
        "type": ["array", "string", "null"],
        "items": {"type": "number", "exclusiveMinimum": 0, "description": "a number above 0"},
        "pattern": "^balanced$",
        "description": "balanced or a list of numbers above 0",
    }
    properties["text_conf"] = {"$ref": "#/$defs/text_conf", "argument": "mapping"}
    properties["model_conf"] = {"$ref": "#/$defs/model_conf", "argument": "mapping"}
    parts = [part for part in PARTS] + ["objectives"]
    words = f"a name that begins with {described({'enum': parts})}"
    properties["param_groups"] |= {"propertyNames": {"pattern": rf"^({'|'.join(parts)})(\.|$)", "description": words}}


def describe() -> dict[str, Any]:
    """The whole schema of each task."""
    from m4ser.models.systems import SYSTEMS

    schemas: dict[str, Any] = {}
    for name in SYSTEMS:
        whole, mappings = of_task(name)
        schemas[name] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "$defs": mappings}
    return schemas


def text_of(schemas: dict[str, Any]) -> str:
    """JSON with one option in a line."""

    def lines(value: Any, depth: int) -> str:
        if depth == 0 or not isinstance(value, dict | list) or not value:
            return json.dumps(value)
        if isinstance(value, list):
            return "[\n" + ",\n".join(lines(one, depth - 1) for one in value) + "\n]"
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(one, depth - 1)}" for key, one in value.items()) + "\n}"

    return lines(schemas, 3) + "\n"


def main() -> None:
    """Write the file."""
    with contextlib.redirect_stdout(sys.stderr):
        schemas = describe()
    PATH.write_text(text_of(schemas), encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
