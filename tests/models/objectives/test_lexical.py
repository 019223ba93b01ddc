"""Which words are said: mean embedding of the reference, from edits in both layouts, and what does not count."""

import torch

from m4ser.models.objectives.base import Sizes, Targets
from m4ser.models.objectives.lexical import LexicalObjective, reference_embedding
from m4ser.models.representations import Representations


def test_it_is_the_mean_embedding_of_the_reference(bench, pairs):
    embeddings = bench.encoder.word_embeddings.detach()
    values, known = reference_embedding(bench.batch(pairs, extra=2)[1], embeddings)
    for value, (_, reference) in zip(values, pairs, strict=True):
        pieces = bench.text.tokenizer.encode(reference, add_special_tokens=False)
        torch.testing.assert_close(value, embeddings[pieces].mean(0))
    assert known.all()


def test_loss_by_hand(bench):
    """Targets are standardised by what was seen: of two of them each dimension is +1 or -1."""
    objective = LexicalObjective(Sizes(48, 48, 96, 2)).train()
    reps, targets = bench.batch([("so happy", "so happy"), ("sad", "sad")])
    heard = torch.zeros(2, 48, requires_grad=True)
    part = objective(reps._replace(heard_words=heard), targets, bench.tools)
    torch.testing.assert_close(part.loss, torch.tensor(1.0), atol=1e-3, rtol=1e-3)
    part.loss.backward()
    assert heard.grad.abs().sum() > 0 and all(p.grad is None for p in bench.encoder.parameters())
    perfect, _ = reference_embedding(targets, bench.encoder.word_embeddings.detach())
    centre, spread = perfect.mean(0), perfect.std(0, unbiased=False)
    part = objective.eval()(reps._replace(heard_words=(perfect - centre) / spread), targets, bench.tools)
    torch.testing.assert_close(part.loss, torch.tensor(0.0), atol=1e-3, rtol=1e-3)


def test_an_utterance_without_reference_does_not_count(bench):
    objective = LexicalObjective(Sizes(48, 48, 96, 2)).train()
    reps, targets = bench.batch([("so happy", "so happy"), ("sad", ""), ("good", "good")])
    heard = torch.full((3, 48), 0.5, requires_grad=True)
    loss = objective(reps._replace(heard_words=heard), targets, bench.tools).loss
    loss.backward()
    assert (heard.grad[1] == 0).all() and (heard.grad[0] != 0).any()
    assert objective.standard.count.tolist() == [2.0] * 48
    nothing = Targets(targets.emotion[1:2], *(None if t is None else t[1:2] for t in targets[1:]))
    alone = objective(Representations(reps.utterance[1:2], heard_words=heard[1:2]), nothing, bench.tools).loss
    assert alone == 0 and alone.requires_grad
