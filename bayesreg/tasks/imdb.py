"""IMDB reviews with a bidirectional LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesreg.tasks.registered import Registered

if TYPE_CHECKING:
    from bayesreg.datasets import Data


@dataclass(frozen=True)
class Imdb(Registered):
    """Reviews of films, good or bad (Maas et al., 2011), with a bidirectional LSTM on embedded words."""

    name = "imdb"
    net = "bilstm"
    metric = "accuracy"
    epochs: int = 6
    """Passes over the training data."""
    batch_size: int = 64
    """Examples per step."""
    lr: float = 2e-3
    """Adam's learning rate at the start; it falls to 0 along a half cosine."""
    words: int = 20_000
    """The size of the vocabulary, with padding and the unknown word."""
    length: int = 400
    """How many words of a longer review are kept."""
    hidden: int = 64
    """LSTM units per direction, and numbers in an embedding."""

    def load(self) -> Data:
        from bayesreg.datasets import imdb

        return imdb.load(self.data_dir, self.words, self.length)

    def network(self, data: Data) -> Any:
        from bayesreg import nets

        return nets.bilstm(self.words, data.classes or 0, embedding=self.hidden, hidden=self.hidden)

    def likelihood(self) -> Any:
        from bayesreg.likelihoods import Categorical

        return Categorical()
