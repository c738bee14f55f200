"""What a SavedModel says beside its values: the names of variables, the files that came with it, and facts of its graph.

A TensorFlow 2 checkpoint keys its variables by where they hang in the object ("layer_with_weights-4/kernel"), which changes
with every version of Keras; beside the values it keeps an object graph, which has each variable's own name. The graph of
the computation tells what no variable does: the exact form of the activation, the epsilon of the normalization, how often
a shared layer is applied. Formats: tensorflow/core/protobuf/{trackable_object_graph,saved_model,meta_graph}.proto,
tensorflow/core/framework/{graph,function,node_def,attr_value,tensor}.proto.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow.bundle import Bundle
from hf_ssl.models.tensorflow.wire import Field, fields

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_LARGEST = 2**31  # bytes; protocol buffers end there
_MOST_NODES = 5_000_000  # of a graph and its functions; that of a large BERT, in four functions, has fifty thousand


def variable_names(bundle: Bundle) -> dict[str, str]:
    """Names of the variables of a checkpoint, and the keys they are kept under.

    A variable is called what it was called in the program, when no other is called so too; else after its place in the
    object, which is what a dictionary of variables leaves.

    Raises:
        CheckpointError: the object graph is damaged.
    """
    keys = [key for key in bundle if key != OBJECT_GRAPH]
    given = _full_names(bundle) if OBJECT_GRAPH in bundle else {}
    times = Counter(given.get(key) for key in keys)
    names: dict[str, str] = {}
    for key in keys:
        own = given.get(key)
        place = key.removesuffix(_SUFFIX)
        if key.endswith(_SUFFIX):  # how a name with slashes becomes part of a path
            place = place.replace(".S", "/").replace("..", ".")
        names[own if own and times[own] == 1 and "/" in own else place] = key
    return names


def _full_names(bundle: Bundle) -> dict[str, str]:
    found = {}
    content = bundle.tensor(OBJECT_GRAPH)
    if content.shape != () or not isinstance(content.item(), bytes):
        raise CheckpointError(f"The object graph of {bundle.prefix} is no text.")
    try:
        for node in _each(memoryview(content.item()), 1):
            for attribute in _each(node, 2):
                texts = {item.number: item.text for item in fields(attribute) if item.number in (1, 2, 3)}
                if texts.get(1) == "VARIABLE_VALUE" and texts.get(2) and texts.get(3):
                    found[texts[3]] = texts[2]
    except CheckpointError as error:
        raise CheckpointError(f"The object graph of {bundle.prefix} is damaged: {error}.") from error
    return found


@dataclass
class Graph:
    """Facts of a SavedModel's computation.

    Attributes:
        operations: how often each operation occurs.
        most_softmaxes: the largest number of softmaxes in one function: the layers of attention in a forward pass.
        constants: scalar numbers by the name of their node.
        nodes: how many there are, in the graph and its functions.
    """

    operations: Counter[str] = field(default_factory=Counter)
    nodes: int = 0
    most_softmaxes: int = 0
    constants: list[tuple[str, float]] = field(default_factory=list)

    def activation(self) -> str | None:
        """The feed-forward activation as transformers calls it, or None when the graph does not tell."""
        tanh = any(abs(value - 0.044715) < 1e-7 for _, value in self.constants)
        exact = self.operations["Erf"] + self.operations["Erfc"] > 0  # newer versions use the complement
        if tanh != exact:
            return "gelu_new" if tanh else "gelu"
        return "relu" if not tanh and self.operations["Relu"] else None

    def epsilon(self) -> float | None:
        """What layer normalization adds to the variance, or None when the graph does not tell."""
        found = {value for name, value in self.constants if name.endswith("batchnorm/add/y") and 0 < value < 0.01}
        return float(f"{found.pop():.6g}") if len(found) == 1 else None  # a float32, as it was written


def read_graph(path: Path) -> Graph:
    """Read `saved_model.pb`.

    Raises:
        CheckpointError: it cannot be read or is damaged.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise CheckpointError("it is larger than such a file can be")
        data = memoryview(path.read_bytes())
        graph = Graph()
        for meta in _each(data, 2):
            _read_meta_graph(meta, graph)
    except (OSError, CheckpointError) as error:
        raise CheckpointError(f"{path} is damaged or no SavedModel: {error}.") from error
    return graph


def _read_meta_graph(data: memoryview, graph: Graph) -> None:
    for item in fields(data):
        if item.number == 2:  # the graph, and its library of functions
            _read_nodes(_each(item.message, 1), graph)
            for library in _each(item.message, 2):
                for function in _each(library, 1):
                    _read_nodes(_each(function, 3), graph)


def _read_nodes(nodes: Iterator[memoryview], graph: Graph) -> None:
    counts: Counter[str] = Counter()
    for node in nodes:
        graph.nodes += 1
        if graph.nodes > _MOST_NODES:
            raise CheckpointError("its graph has more nodes than any model")
        name = operation = ""
        for item in fields(node):
            if item.number == 1:
                name = item.text
            elif item.number == 2:
                operation = item.text
        counts[operation] += 1
        if operation == "Const":
            value = _scalar(item for item in fields(node) if item.number == 5)
            if value is not None:
                graph.constants.append((name, value))
    graph.operations.update(counts)
    graph.most_softmaxes = max(graph.most_softmaxes, counts["Softmax"])


def _scalar(attributes: Iterator[Field]) -> float | None:
    """The value of a constant that is one float32, or None."""
    for attribute in attributes:
        name, value = _pair(attribute)
        if name != "value":
            continue
        for tensor in _each(value, 8):
            entries = {item.number: item.value for item in fields(tensor) if item.number in (1, 4, 5)}
            single = entries.get(4, entries.get(5))  # as bytes, or as a list of floats
            if entries.get(1) == 1 and isinstance(single, memoryview) and len(single) == 4:
                return float(struct.unpack("<f", single)[0])
            if entries.get(1) == 1 and isinstance(single, int) and single < 1 << 32:
                return float(struct.unpack("<f", single.to_bytes(4, "little"))[0])
    return None


def _each(data: memoryview, number: int) -> Iterator[memoryview]:
    """Messages of one field, one at a time: a list of very many empty ones would take a hundred times the file."""
    return (item.message for item in fields(data) if item.number == number)


def _pair(item: Field) -> tuple[str, memoryview]:
    """Key and value of a map's entry."""
    key, value = "", memoryview(b"")
    for inner in fields(item.message):
        if inner.number == 1:
            key = inner.text
        elif inner.number == 2:
            value = inner.message
    return key, value
