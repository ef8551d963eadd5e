"""gRPC's own service of reflection: what services the server has, and of what messages, for clients that know neither.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import SERVICE_NAME
from grpc_reflection.v1alpha.reflection import aio as servicers
from mlserver.grpc import dataplane_pb2, model_repository_pb2

from tabserve.serving.grpc import triton_messages
from tabserve.serving.grpc.triton import METHODS


def reflection(services: Iterable[str]) -> Any:  # noqa: ANN401  it has no types
    """The servicer that tells of these services, and of itself."""
    return servicers.ReflectionServicer([*services, SERVICE_NAME], described())


def described() -> descriptor_pool.DescriptorPool:
    """All files of protocol buffers that describe the server.

    That of inference is MLServer's, with Triton's methods added: one service is described by one file.
    """
    pool = descriptor_pool.DescriptorPool()
    for file in (health_pb2, reflection_pb2, model_repository_pb2):
        pool.AddSerializedFile(file.DESCRIPTOR.serialized_pb)
    for made in (triton_messages.FILE, _inference()):
        pool.AddSerializedFile(made.SerializeToString())
    return pool


def _inference() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto.FromString(dataplane_pb2.DESCRIPTOR.serialized_pb)
    file.dependency.append(triton_messages.FILE.name)
    (service,) = file.service
    for name in METHODS:
        type_ = f".{triton_messages.PACKAGE}.{name}"
        service.method.add(name=name, input_type=f"{type_}Request", output_type=f"{type_}Response")
    return file
