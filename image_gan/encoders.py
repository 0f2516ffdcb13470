"""Text encoders: captions in, embeddings out.

All take a batch of codes ``(B, L)``, as ``image_gan.text`` makes them of captions, and return
embeddings ``(B, size)``. ``unknown(text)`` lists what an encoder passes over in a text.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from image_gan.text import texts, words

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} "
"""Of Reed et al.: 70 characters, of which one occurs twice."""


class Words(nn.Module):
    """What the encoders by words have in common: a vocabulary. Other words are passed over.

    Args:
        vocabulary: words, in small letters.

    Raises:
        ValueError: where it is empty, or a word occurs twice.
    """

    def __init__(self, vocabulary: Sequence[str]):
        super().__init__()
        self.numbers = {word: number for number, word in enumerate(vocabulary, 1)}
        if not self.numbers or len(self.numbers) < len(vocabulary):
            raise ValueError("vocabulary: words are needed, each once")

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that are not in the vocabulary."""
        return [word for word in words(text) if word not in self.numbers]

    def known(self) -> str:
        """Return, in words, what the encoder knows."""
        some = list(self.numbers)[:12]
        more = ", ..." if len(self.numbers) > len(some) else ""
        return f"{len(self.numbers)} words: {', '.join(some)}{more}"

    def looked_up(self, codes: Tensor) -> Tensor:
        """Return the numbers of the words of each text, ``(B, W)``, from 1 on; 0 follows them."""
        found = [
            [self.numbers[word] for word in words(text) if word in self.numbers]
            for text in texts(codes)
        ]
        width = max(1, *map(len, found))
        rows = [row + [0] * (width - len(row)) for row in found]
        return torch.tensor(rows, device=codes.device)


class MultiHot(Words):
    """Which words occur, as ones among zeros: one-hot and multi-label conditions; learns nothing.

    Args:
        vocabulary: words, in small letters; embeddings have a number for each.
    """

    def __init__(self, vocabulary: Sequence[str]):
        super().__init__(vocabulary)
        self.size = len(vocabulary)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the embeddings."""
        hot = torch.zeros(len(codes), self.size + 1, device=codes.device)
        return hot.scatter_(1, self.looked_up(codes), 1.0)[:, 1:]


class BagOfWords(Words):
    """The mean of the vectors of the words.

    Args:
        vocabulary: words, in small letters.
        size: of embeddings.
    """

    def __init__(self, vocabulary: Sequence[str], size: int = 128):
        super().__init__(vocabulary)
        self.size = size
        self.vectors = nn.Embedding(len(vocabulary) + 1, size, padding_idx=0)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the embeddings."""
        numbers = self.looked_up(codes)
        count = (numbers > 0).sum(dim=1, keepdim=True).clamp(min=1)
        return self.vectors(numbers).sum(dim=1) / count


class GRU(Words):
    """A bidirectional GRU over the words; the mean of its states.

    Args:
        vocabulary: words, in small letters.
        size: of embeddings.
        channels: of the vectors of words, and of the states of each direction.
    """

    def __init__(self, vocabulary: Sequence[str], size: int = 256, channels: int = 128):
        super().__init__(vocabulary)
        self.size = size
        self.vectors = nn.Embedding(len(vocabulary) + 1, channels, padding_idx=0)
        self.states = nn.GRU(channels, channels, batch_first=True, bidirectional=True)
        self.embed = nn.Linear(2 * channels, size)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the embeddings."""
        numbers = self.looked_up(codes)  # (B, W)
        lengths = (numbers > 0).sum(dim=1).clamp(min=1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.vectors(numbers), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(self.states(packed)[0], batch_first=True)
        return self.embed(states.sum(dim=1) / lengths[:, None])


class CharCNNRNN(nn.Module):
    """The char-CNN-RNN of Reed et al. 2016 (CVPR), as their code has it for captions.

    Three convolutions over the first 201 characters, a recurrent network over the 8 steps that are
    left, its mean, a linear layer. What is not in the alphabet is as if nothing were there.

    Args:
        size: of embeddings.
        channels: of the last convolution and of the recurrent network.
        alphabet: the characters; capital letters are taken as small ones.
        dropout: before the linear layer.
    """

    LENGTH = 201
    STEPS = 8

    def __init__(
        self,
        size: int = 1024,
        channels: int = 512,
        alphabet: str = ALPHABET,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.size, self.alphabet = size, alphabet
        letters = torch.tensor([ord(letter) for letter in alphabet])
        self.register_buffer("letters", letters, persistent=False)
        self.convolutions = nn.Sequential(
            *(nn.Conv1d(len(alphabet), 384, 4), nn.ReLU(), nn.MaxPool1d(3, 3)),
            *(nn.Conv1d(384, 512, 4), nn.ReLU(), nn.MaxPool1d(3, 3)),
            *(nn.Conv1d(512, channels, 4), nn.ReLU(), nn.MaxPool1d(3, 2)),
        )
        self.enter, self.go_on = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.embed = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, size))

    def unknown(self, text: str) -> list[str]:
        """Return the characters of a text that are not in the alphabet."""
        return [letter for letter in text.lower() if letter not in self.alphabet]

    def known(self) -> str:
        """Return, in words, what the encoder knows."""
        return f"the characters {self.alphabet.strip()}"

    def forward(self, codes: Tensor) -> Tensor:
        """Return the embeddings."""
        codes = codes[:, : self.LENGTH]
        codes = nn.functional.pad(codes, (0, self.LENGTH - codes.shape[1]))
        codes = codes + 32 * ((codes >= ord("A")) & (codes <= ord("Z")))
        hot = (codes[:, None] == self.letters[:, None]).to(self.enter.weight.dtype)
        steps = self.convolutions(hot).unbind(dim=2)  # 8 of (B, channels)
        states = [torch.relu(self.enter(steps[0]))]
        for step in steps[1:]:
            states.append(torch.relu(self.enter(step) + self.go_on(states[-1])))
        return self.embed(torch.stack(states).mean(dim=0))


class SentenceEncoder(nn.Module):
    """A model of the library sentence-transformers, by its name; its weights stay where they are.

    It is loaded when it is first used, from the library's cache or from a folder. Nothing is
    fetched: a model file, which may be a stranger's, would else say what is.

    Args:
        name: of the model, such as ``all-MiniLM-L6-v2``, or its folder.
        size: of its embeddings.
    """

    def __init__(self, name: str, size: int = 384):
        super().__init__()
        self.name, self.size = name, size
        self.loaded: list = []  # outside of the modules: no part of checkpoints

    def unknown(self, text: str) -> list[str]:
        """Return nothing: such models take any text apart."""
        return []

    def known(self) -> str:
        """Return, in words, what the encoder knows."""
        return f"what {self.name} knows"

    def forward(self, codes: Tensor) -> Tensor:
        """Return the embeddings.

        Raises OSError where the model isn't here, or the library isn't installed; ValueError where
        its embeddings are of another size.
        """
        if not self.loaded:
            self.loaded.append(sentence_model(self.name))
        with torch.no_grad():
            found = self.loaded[0].encode(texts(codes), convert_to_tensor=True)
        if found.shape[1] != self.size:
            raise ValueError(f"{self.name}: has embeddings of {found.shape[1]}, not {self.size}")
        return found.to(codes.device, torch.float32).clone()


def sentence_model(name: str):
    """Return the model of that name; raises OSError, in one line, where it can't be had."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise OSError(
            f"{name}: sentence-transformers is not installed: pip install 'segan[text]'"
        ) from None
    try:
        return SentenceTransformer(name, "cpu", trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the library's own are many
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        full = name if "/" in name else f"sentence-transformers/{name}"
        raise OSError(
            f"{name}: can't be loaded ({reason}); fetch it first: hf download {full}"
        ) from None


ENCODERS = (MultiHot, BagOfWords, GRU, CharCNNRNN, SentenceEncoder)


def check(text: str, encoder: nn.Module) -> str | None:
    """Return, in words, what an encoder passes over in a text, None where it takes all of it.

    Raises:
        ValueError: where there is no text, or nothing in it is known.
    """
    if not text.strip():
        raise ValueError("an empty text: say what the picture should show")
    unknown = list(dict.fromkeys(encoder.unknown(text)))
    if not unknown:
        return None
    kept = [part for part in parts(text, encoder) if part not in unknown]
    if not kept:
        raise ValueError(f"{text!r}: the model knows nothing of it; it knows {encoder.known()}")
    return f"passed over, for the model has never seen it: {', '.join(map(repr, unknown))}"


def parts(text: str, encoder: nn.Module) -> list[str]:
    """Return what an encoder takes a text to be made of: words, or characters but for spaces."""
    return words(text) if isinstance(encoder, Words) else list(text.lower().replace(" ", ""))
