"""The gRPC reflection service, by which clients learn the server's services and messages.

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
    """The servicer that describes these services and itself."""
    return servicers.ReflectionServicer([*services, SERVICE_NAME], descriptors())


def descriptors() -> descriptor_pool.DescriptorPool:
    """The files of protocol buffers that describe the server.

    One file describes a service, so Triton's methods are added to MLServer's file of the inference service.
    """
    pool = descriptor_pool.DescriptorPool()
    for file in (health_pb2, reflection_pb2, model_repository_pb2):
        pool.AddSerializedFile(file.DESCRIPTOR.serialized_pb)
    for description in (triton_messages.FILE, _inference()):
        pool.AddSerializedFile(description.SerializeToString())
    return pool


def _inference() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto.FromString(dataplane_pb2.DESCRIPTOR.serialized_pb)
    file.dependency.append(triton_messages.FILE.name)
    (service,) = file.service
    for name in METHODS:
        type_ = f".{triton_messages.PACKAGE}.{name}"
        service.method.add(name=name, input_type=f"{type_}Request", output_type=f"{type_}Response")
    return file
