"""Triton's messages about configuration and statistics, which MLServer's protocol buffers lack.

Names and numbers are those of
https://github.com/triton-inference-server/common/blob/main/protobuf/grpc_service.proto and `model_config.proto` beside
it, limited to the fields that we fill. They are in a descriptor pool of their own, apart from those of other libraries.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from tabserve.serving.triton import DURATIONS

PACKAGE = "inference"

REPEATED = "repeated "

FIELDS = {
    "ModelConfigRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelConfigResponse": {"config": (1, "ModelConfig")},
    "ModelConfig": {
        "name": (1, "string"),
        "platform": (2, "string"),
        "backend": (17, "string"),
        "max_batch_size": (4, "int32"),
        "input": (5, "repeated ModelInput"),
        "output": (6, "repeated ModelOutput"),
        "dynamic_batching": (11, "ModelDynamicBatching"),
    },
    "ModelInput": {
        "name": (1, "string"),
        "data_type": (2, "DataType"),
        "dims": (4, "repeated int64"),
        "optional": (8, "bool"),
    },
    "ModelOutput": {"name": (1, "string"), "data_type": (2, "DataType"), "dims": (3, "repeated int64")},
    "ModelDynamicBatching": {"max_queue_delay_microseconds": (2, "uint64")},
    "ModelStatisticsRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelStatisticsResponse": {"model_stats": (1, "repeated ModelStatistics")},
    "ModelStatistics": {
        "name": (1, "string"),
        "version": (2, "string"),
        "last_inference": (3, "uint64"),
        "inference_count": (4, "uint64"),
        "execution_count": (5, "uint64"),
        "inference_stats": (6, "InferStatistics"),
    },
    "InferStatistics": {name: (number, "StatisticDuration") for number, name in enumerate(DURATIONS, 1)},
    "StatisticDuration": {"count": (1, "uint64"), "ns": (2, "uint64")},
}
"""The number and the type of each message's fields."""

DATA_TYPES = {"TYPE_INVALID": 0, "TYPE_INT64": 9, "TYPE_FP32": 11, "TYPE_STRING": 13}
"""The types that a model of ours can have, and the one that protocol buffers require as number 0."""


def parse(kind: str, message: bytes) -> Any:  # noqa: ANN401  protobuf's type
    """Parse a message of this kind.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    return _kinds[kind].FromString(message)


def serialize(kind: str, document: dict[str, Any]) -> bytes:
    """The bytes of a message of this kind, from its form in JSON."""
    message: bytes = json_format.ParseDict(document, _kinds[kind]()).SerializeToString()
    return message


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="triton.proto", package=PACKAGE, syntax="proto3")
    data_type = file.enum_type.add(name="DataType")
    for name, number in DATA_TYPES.items():
        data_type.value.add(name=name, number=number)
    for kind, fields in FIELDS.items():
        message = file.message_type.add(name=kind)
        for name, (number, type_) in fields.items():
            _describe(message.field.add(name=name, number=number), type_)
    return file


def _describe(field: descriptor_pb2.FieldDescriptorProto, type_: str) -> None:
    repeated, single = type_.startswith(REPEATED), type_.removeprefix(REPEATED)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if single[0].isupper():
        field.type_name = f".{PACKAGE}.{single}"
    else:
        field.type = getattr(field, f"TYPE_{single.upper()}")


def _message_classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(FILE.SerializeToString())
    return {kind: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{kind}")) for kind in FIELDS}


FILE = _file()
"""The file of all messages."""

_kinds = _message_classes()
