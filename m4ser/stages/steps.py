"""The steps of a recipe's stages: what each writes, reads and depends on.

``ser.sh`` has the commands of the steps under the same names, in this order.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from m4ser.data.own_names import files_of
from m4ser.stages.corpus import OPTION
from m4ser.stages.markers import Leftovers, Runs, Step, Upstream
from m4ser.stages.names import copies, copy_folder
from m4ser.stages.plan import Plan
from m4ser.training.merged import values


def steps_of(plan: Plan) -> dict[str, Callable[[], Step]]:
    """The steps of the stages that are asked for, by name, each to be looked at when it is its turn.

    A step can only be described when those before it are complete: what crossed corpora have joined is an input.
    """
    o = plan.options
    makers: dict[str, tuple[int, Callable[[Plan], Step]]] = {"data": (0, _data), "audio": (1, _audio)}
    if plan.features:
        makers["feats"] = (1, partial(_feats, folder=plan.feats_dir, what=f"features of {o.speech_encoder}"))
    for copy, what in copies(plan.speeds, o.altered_copies).items():
        makers[f"feats_{copy}"] = (1, partial(_feats, folder=copy_folder(plan.feats_dir, copy), what=what))
    if o.text_source == "asr":
        makers |= {"asr": (2, _asr), "wer": (2, _wer)}
    if o.text_source != "none":
        makers["text"] = (3, _text)
        if plan.tokens:
            makers["tokens"] = (3, _tokens)
    makers |= {"train": (4, _train), "score": (5, _score), "pack": (6, _pack), "upload": (7, _upload)}
    return {
        name: partial(_described, plan, make)
        for name, (stage, make) in makers.items()
        if o.stage <= stage <= o.stop_stage
    }


def _described(plan: Plan, make: Callable[[Plan], Step]) -> Step:
    """A step with what all have in common: it needs the folds, unless it makes them."""
    o, step = plan.options, make(plan)
    needs = {f"{o.data}/folds.json": 0} if step.stage else {}
    return replace(step, data=o.data, needs=needs | dict(step.needs), force=step.force or o.force)


def _pretrained(plan: Plan) -> dict[str, str]:
    """Other folders of pretrained models, other models."""
    return {"pretrained-dir": plan.options.pretrained_dir} if plan.options.pretrained_dir else {}


def _joined(plan: Plan, folder: str) -> list[str]:
    """Markers of the steps in other recipes whose results are joined."""
    o = plan.options
    if not o.join_dumps or not Path(o.data, "folds.json").is_file():
        return []
    from m4ser.stages import joining  # reads data directories, which other recipes need not

    return [str(path) for path in joining.markers(Path(o.data), Path(o.dump), Path(folder))]


def _runs(plan: Plan) -> Runs:
    return Runs(tuple(plan.options.folds.split()), tuple(plan.options.seeds.split()))


def _data(plan: Plan) -> Step:
    o = plan.options
    return Step(
        stage=0,
        folder=o.data,
        what=f"data directories from {plan.corpus_folder}",
        options={OPTION: plan.corpus_folder, "prepare-args": o.prepare_args},
        inputs=plan.prepare_inputs,
        outputs=[f"{o.data}/folds.json", f"{o.data}/labels.txt", f"{o.data}/@set/wav.scp"],
    )


def _audio(plan: Plan) -> Step:
    o = plan.options
    limits = {"min-duration": o.min_duration, "max-duration": o.max_duration}
    return Step(
        stage=1,
        folder=plan.audio_dir,
        what="16 kHz audio",
        options={"skip-bad-audio": str(o.skip_bad_audio).lower(), **limits},
        inputs=[*_joined(plan, plan.audio_dir), f"{o.data}/@set"],
        outputs=[f"{plan.audio_dir}/@set/wav.scp"],
        leftovers=Leftovers.REMOVE,
    )


def _feats(plan: Plan, folder: str, what: str) -> Step:
    o = plan.options
    if o.own_features and not o.join_dumps:
        return Step(
            stage=1,
            folder=folder,
            what=f"your own features of {o.own_features}",
            after=[Upstream(plan.audio_dir, 1)],
            options={"own-features": o.own_features},
            inputs=[*files_of(o.own_features), f"{o.data}/@set"],
            outputs=[f"{folder}/@set/feats.scp"],
            leftovers=Leftovers.REMOVE,
        )
    chosen = {"speech-encoder": o.speech_encoder, "feats-layers": o.feats_layers, "feats-pool": str(o.feats_pool)}
    return Step(
        stage=1,
        folder=folder,
        what=what,
        after=[Upstream(plan.audio_dir, 1)],
        options=chosen | _pretrained(plan),
        inputs=_joined(plan, folder),
        outputs=[f"{folder}/@set/feats.scp"],
        leftovers=Leftovers.REMOVE,
    )


def _asr(plan: Plan) -> Step:
    o = plan.options
    return Step(
        stage=2,
        folder=plan.asr_dir,
        what=f"speech recognition with {o.asr} {o.asr_model}",
        after=[Upstream(plan.audio_dir, 1)],
        options={"asr": o.asr, "asr-model": o.asr_model, "asr-conf": o.asr_conf} | _pretrained(plan),
        inputs=_joined(plan, plan.asr_dir),
        outputs=[f"{plan.asr_dir}/@set/text"],
        leftovers=Leftovers.REMOVE,
    )


def _wer(plan: Plan) -> Step:
    o = plan.options
    return Step(
        stage=2,
        folder=plan.asr_dir,
        name="score",
        what="word error rate",
        after=[Upstream(plan.asr_dir, 2)],
        options={"normaliser": o.normaliser},
        outputs=[f"{plan.asr_dir}/@set/wer.json"],
    )


def _text(plan: Plan) -> Step:
    o = plan.options
    recognised = [Upstream(plan.asr_dir, 2)] if o.text_source == "asr" else []
    return Step(
        stage=3,
        folder=plan.text_dir,
        what=f"targets from text source {plan.text_tag}",
        after=[Upstream(plan.audio_dir, 1), *recognised],
        options={"normaliser": o.normaliser},
        outputs=[f"{plan.text_dir}/@set/edits"],
        leftovers=Leftovers.REMOVE,
    )


def _tokens(plan: Plan) -> Step:
    o = plan.options
    return Step(
        stage=3,
        folder=plan.tokens_dir,
        what=f"sentencepiece models of {plan.tokens} tokens",
        after=[Upstream(plan.text_dir, 3)],
        options={"tokens": str(plan.tokens)},
        inputs=[f"{o.data}/folds.json"],
        leftovers=Leftovers.REMOVE,
    )


def _train(plan: Plan) -> Step:
    o = plan.options
    after = [Upstream(plan.audio_dir, 1)]
    if plan.features:
        after.append(Upstream(plan.feats_dir, 1))
    after += [Upstream(copy_folder(plan.feats_dir, copy), 1) for copy in plan.copies]
    if o.text_source != "none":
        after.append(Upstream(plan.text_dir, 3))
        if plan.tokens:
            after.append(Upstream(plan.tokens_dir, 3))
    start = f"{o.init_exp}/model.pth" if Path(o.init_exp, "model.pth").is_file() else ""  # one run, of any recipe
    if o.init_exp and not start:
        after.append(Upstream(o.init_exp, 4, "train"))
    options = {
        "train-args": o.train_args,
        "text-source": o.text_source,
        "text-encoder": o.text_encoder,
        "speech-encoder": o.speech_encoder,
    }
    # What the configuration says, not where: a comment, or another section of recipe.yaml, trains nothing again.
    options |= {f"train-config {name}": value for name, value in values(o.train_config).items()}
    return Step(
        stage=4,
        folder=plan.exp_dir,
        name="train",
        what=f"training {plan.exp_dir}",
        after=after,
        options=options | _pretrained(plan),
        inputs=[
            *(f"{o.data}/folds.json", f"{o.data}/labels.txt"),
            *([start] if start else []),
        ],
        outputs=[f"{plan.exp_dir}/run.json", f"{plan.exp_dir}/@cell", f"{plan.exp_dir}/@cell/model.pth"],
        runs=_runs(plan),
        leftovers=Leftovers.SET_ASIDE,
    )


def _score(plan: Plan) -> Step:
    o, exp = plan.options, plan.exp_dir
    recognised = [Upstream(plan.asr_dir, 2, "score")] if o.text_source == "asr" else []
    predictions = [f"{exp}/@cell/predictions_{part}.tsv" for part in ("dev", "test")]
    return Step(
        stage=5,
        folder=exp,
        name="score",
        what=f"predictions and scores of {exp}",
        after=[Upstream(exp, 4, "train"), *recognised],
        options={"folds": o.folds, "seeds": o.seeds, "baseline": o.baseline},
        inputs=[f"{o.baseline}/metrics.json"] if o.baseline else [],
        outputs=[f"{exp}/RESULTS.md", f"{exp}/metrics.json", *predictions],
        runs=_runs(plan),
    )


def _pack(plan: Plan) -> Step:
    o = plan.options
    return Step(
        stage=6,
        folder=plan.exp_dir,
        name="pack",
        what=f"archive of {plan.exp_dir}",
        after=[Upstream(plan.exp_dir, 5, "score")],
        options={"run": o.pack_run, "include": o.pack_include, "onnx": str(o.pack_onnx).lower()},
        outputs=[plan.archive],
    )


def _upload(plan: Plan) -> Step:
    o = plan.options
    return Step(
        stage=7,
        folder=plan.exp_dir,
        name="upload",
        what=f"upload to {o.hub_repo}",
        needs={plan.archive: 6},
        after=[Upstream(plan.exp_dir, 6, "pack")],
        options={"hub-repo": o.hub_repo},
        force=True,  # the hub knows what it has: unchanged files are not sent again
    )
