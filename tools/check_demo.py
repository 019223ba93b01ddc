"""Check the demonstration's result against what it is known to reach, with a margin: `check_demo.py exp/m4ser`."""

import json
import sys
from pathlib import Path

LEAST_UA = 0.60  # chance is 0.25
WER = (0.05, 0.60)  # real errors of a real recogniser, and not nonsense


def faults(metrics: dict) -> list[str]:
    """What is wrong with the content of ``metrics.json``; empty if nothing is."""
    messages = []
    ua, wer = metrics["pooled"]["ua"]["mean"], metrics["asr_word_errors"]["wer"]
    if not ua >= LEAST_UA:
        messages.append(f"test UA is {ua:.3f}, less than {LEAST_UA}")
    if not WER[0] <= wer <= WER[1]:
        messages.append(f"word error rate is {wer:.3f}, not between {WER[0]} and {WER[1]}")
    if metrics["partial"]:
        messages.append("runs are missing")
    return messages


def main() -> None:
    """Print one line; exit status 1 if the result is not as expected."""
    path = Path(sys.argv[1]) / "metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    if messages := faults(metrics):
        sys.exit(f"error: {path}: {'; '.join(messages)}")
    ua, wer = metrics["pooled"]["ua"]["mean"], metrics["asr_word_errors"]["wer"]
    print(
        f"As expected: UA {100 * ua:.1f} % (at least {100 * LEAST_UA:.0f} %), "
        f"WER {100 * wer:.1f} % ({100 * WER[0]:.0f} to {100 * WER[1]:.0f} %)"
    )


if __name__ == "__main__":
    main()
