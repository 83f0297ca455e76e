"""Variable-order Markov model of tokens.

A node stands for a context, the tokens before a position read backwards, and counts the tokens
seen after it; its children are the contexts one token longer. Contexts grow only where a token came
unexpectedly, so ambiguous places get long contexts and plain ones stay cheap. The probability of a
token is uniform over the vocabulary at first and is interpolated with each longer context by
Witten-Bell smoothing: the weight of a context grows with its count and falls with the number of
different tokens that followed.

See: Ron, Singer and Tishby, "The power of amnesia" (1996); Witten and Bell, "The zero-frequency
problem" (1991).
"""

from collections.abc import Sequence
from heapq import nlargest

MAX_ORDER = 24
# Weight of the shorter context against the counts of a context of 0, 1, 2, … tokens, for each
# kind of token seen there. Short contexts recur by chance, long ones for a reason; chosen so that
# the loss on held-out pairs of the Kant data falls over the epochs, and does not rise again.
_BACKOFF_WEIGHTS = (1.0, 2.0, 2.0, 2.0, 0.5, *[0.02] * (MAX_ORDER - 4))
# Number of tokens by which the longest known context may grow at a time.
_GROWTH = 2
_COMMON_TOKENS = 64


class Node:
    """Context: counts of the tokens after it, and the contexts one token longer."""

    __slots__ = ("_most_frequent", "children", "counts", "owner", "total")

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self.total = 0.0
        self.counts: dict[int, float] = {}
        self.children: dict[int, Node] | None = None
        self._most_frequent: int | None = None

    def copy(self, owner: object) -> "Node":
        """Return a copy of the node that shares its children."""
        copy = Node(owner)
        copy.total = self.total
        copy.counts = self.counts.copy()
        copy.children = None if self.children is None else self.children.copy()
        copy._most_frequent = self._most_frequent
        return copy

    def add(self, token: int, amount: float) -> None:
        """Change a count; remove it if it falls to zero."""
        counts = self.counts
        before = counts.get(token, 0.0)
        after = before + amount
        if after > 0:
            counts[token] = after
        else:
            after = 0.0
            counts.pop(token, None)
        self.total += after - before
        best = self._most_frequent
        if best is not None and (after < before or after > counts[best]):
            self._most_frequent = token if after > before else None

    @property
    def most_frequent(self) -> int:
        """The most frequent token."""
        if self._most_frequent is None:
            self._most_frequent = max(self.counts, key=self.counts.__getitem__)
        return self._most_frequent


class ContextTree:
    """Tree of the counts of one model; forks share nodes until they change them.

    Args:
        n_tokens: Size of the vocabulary.
        root: The empty context; None for no counts.
    """

    def __init__(self, n_tokens: int, root: Node | None = None) -> None:
        self.n_tokens = n_tokens
        self._owner = object()
        self._root = root or Node(self._owner)
        self._common: list[int] | None = None

    def fork(self) -> "ContextTree":
        """Return a tree with the same counts, independent from now on."""
        self._owner = object()
        return ContextTree(self.n_tokens, self._root)

    def learn(self, tokens: Sequence[int], position: int, amount: float, *, grow: bool) -> None:
        """Count the token at a position after each known context that ends there.

        Args:
            tokens: The text.
            position: Position of the token to learn.
            amount: Added to the counts; a negative amount makes the token less likely.
            grow: Whether to add contexts longer than the known ones.
        """
        token = tokens[position]
        node = self._root
        if node.owner is not self._owner:
            node = self._root = node.copy(self._owner)
        self._common = None
        growth = _GROWTH if grow else 0
        node.add(token, amount)
        for back in range(1, min(position, MAX_ORDER) + 1):
            before = tokens[position - back]
            children = node.children
            child = None if children is None else children.get(before)
            if child is None:
                if not growth:
                    return
                growth -= 1
                child = Node(self._owner)
            elif child.owner is not self._owner:
                child = child.copy(self._owner)
            if children is None:
                children = node.children = {}
            children[before] = child
            child.add(token, amount)
            node = child

    def probability(self, tokens: Sequence[int], position: int) -> float:
        """Return the probability of the token at a position after those before it."""
        return self._interpolate(self._path(tokens, position), tokens[position])

    def predict(self, tokens: Sequence[int], position: int) -> tuple[float, bool]:
        """Return the probability of the token at a position, and whether it is the most likely.

        It is compared with the most frequent token of each context.
        """
        path, token = self._path(tokens, position), tokens[position]
        probability = self._interpolate(path, token)
        if probability > 0.5:  # noqa: PLR2004 - more than all others together
            return probability, True
        rivals = {node.most_frequent for node in path if node.counts} - {token}
        return probability, all(self._interpolate(path, rival) <= probability for rival in rivals)

    def candidates(
        self, tokens: Sequence[int], extra_tokens: Sequence[int] = ()
    ) -> dict[int, float]:
        """Return candidates for the next token of a text, with their probabilities.

        Candidates are all tokens seen after one of the contexts, the most frequent of all tokens,
        and extra ones; the other tokens share the rest of the probability.
        """
        root, *path = self._path(tokens, len(tokens))
        candidates = dict.fromkeys(self._common_tokens())
        candidates.update(dict.fromkeys(extra_tokens))
        for node in path:
            candidates.update(dict.fromkeys(node.counts))
        weight = _BACKOFF_WEIGHTS[0] * (len(root.counts) or 1)
        even, total = weight / self.n_tokens, root.total + weight
        count = root.counts.get
        result = {token: (count(token, 0.0) + even) / total for token in candidates}
        for node, caution in zip(path, _BACKOFF_WEIGHTS[1:], strict=False):
            weight = caution * (len(node.counts) or 1)
            total = node.total + weight
            share = weight / total
            for token, value in result.items():
                result[token] = value * share
            for token, seen in node.counts.items():
                result[token] += seen / total
        return result

    def to_rows(self) -> list[list[float]]:
        """Return the counts as rows, each context before its longer ones.

        A row has the length of a context, its first token (-1 for none), and then alternately the
        tokens seen after it and their counts.
        """
        rows: list[list[float]] = []
        nodes = [(0, -1, self._root)]
        while nodes:
            order, before, node = nodes.pop()
            rows.append([order, before, *(x for pair in node.counts.items() for x in pair)])
            longer = [(order + 1, *item) for item in (node.children or {}).items()]
            nodes += reversed(longer)
        return rows

    @classmethod
    def from_rows(cls, n_tokens: int, rows: Sequence[Sequence[float]]) -> "ContextTree":
        """Return the tree of rows from `to_rows`.

        Raises:
            ValueError: The rows are inconsistent.
        """
        tree = cls(n_tokens)
        path: list[Node] = []
        for number, (order, before, *counts) in enumerate(rows):
            if not (0 < order <= len(path) if number else order == 0) or len(counts) % 2:
                raise ValueError(f"Row {number} of the counts does not fit the rows before it.")
            del path[int(order) :]
            node = tree._root
            if path:
                node = Node(tree._owner)
                path[-1].children = path[-1].children or {}
                path[-1].children[int(before)] = node
            path.append(node)
            for token, count in zip(counts[::2], counts[1::2], strict=True):
                node.add(int(token), count)
        return tree

    def _path(self, tokens: Sequence[int], position: int) -> list[Node]:
        node = self._root
        path = [node]
        for back in range(1, min(position, MAX_ORDER) + 1):
            child = node.children.get(tokens[position - back]) if node.children else None
            if child is None:
                break
            path.append(child)
            node = child
        return path

    def _interpolate(self, path: Sequence[Node], token: int) -> float:
        result = 1.0 / self.n_tokens
        for node, caution in zip(path, _BACKOFF_WEIGHTS, strict=False):
            counts = node.counts
            # A context without counts keeps the probability of the shorter one.
            weight = caution * (len(counts) or 1)
            result = (counts.get(token, 0.0) + weight * result) / (node.total + weight)
        return result

    def _common_tokens(self) -> list[int]:
        if self._common is None:
            counts = self._root.counts
            self._common = nlargest(_COMMON_TOKENS, counts, key=counts.__getitem__)
        return self._common
