"""A client without the protocol's definitions learns services and messages by reflection, and then uses them."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from mlserver.grpc import dataplane_pb2
from tests.serving.wire import DEPLOY, SECONDS

from tabserve.client.local_server import Server, running
from tabserve.model.model import Model
from tabserve.serving.mlserver.transports import STREAM_MESSAGES
from tabserve.table.frame import Frame

INFERENCE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"
REPOSITORY, REFLECTION = (
    "inference.model_repository.ModelRepositoryService",
    "grpc.reflection.v1alpha.ServerReflection",
)
CALL = f"/{REFLECTION}/ServerReflectionInfo"


@pytest.fixture(scope="module")
def channel(edge: Server) -> Iterator[grpc.Channel]:
    """A gRPC channel to the shared server."""
    with grpc.insecure_channel(edge.grpc) as opened:
        yield opened


@pytest.fixture(scope="module")
def descriptions(channel: grpc.Channel) -> descriptor_pool.DescriptorPool:
    """A descriptor pool with the server's own descriptions alone."""
    return descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


class ReflectionClient:
    """A client that knows only the protocol buffers that the server describes."""

    def __init__(self, channel: grpc.Channel, descriptions: descriptor_pool.DescriptorPool) -> None:
        self._channel, self._descriptions = channel, descriptions

    def methods(self, service: str) -> dict[str, MethodDescriptor]:
        return dict(self._descriptions.FindServiceByName(service).methods_by_name)

    def ask(self, service: str, name: str, /, **members: Any) -> Any:  # noqa: ANN401  a message's own
        method = self.methods(service)[name]
        request, response = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
        call = self._channel.unary_unary(f"/{service}/{name}", request.SerializeToString, response.FromString)
        return call(request(**members), timeout=SECONDS)


@pytest.fixture(scope="module")
def client(channel: grpc.Channel, descriptions: descriptor_pool.DescriptorPool) -> ReflectionClient:
    """A reflection client of the shared server."""
    return ReflectionClient(channel, descriptions)


def test_reflection_lists_all_services(channel: grpc.Channel) -> None:
    """They are inference, the model repository, health, and reflection itself."""
    services = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert sorted(services) == sorted([INFERENCE, REPOSITORY, HEALTH, REFLECTION])


@pytest.mark.parametrize("service", [INFERENCE, REPOSITORY, HEALTH])
def test_every_described_method_exists(channel: grpc.Channel, client: ReflectionClient, service: str) -> None:
    """The server never answers a described method with `Method not found!`."""
    methods = client.methods(service)
    assert methods
    for name in methods:
        call = channel.unary_stream(f"/{service}/{name}")(b"\xff", timeout=SECONDS)
        with suppress(grpc.RpcError):
            next(call, None)
        assert call.details() != "Method not found!", name


def test_all_methods_of_inference_and_health_are_described(client: ReflectionClient) -> None:
    """The inference service has the methods of the protocol and Triton's two."""
    protocol = dataplane_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    assert {*client.methods(INFERENCE)} == {*protocol, "ModelConfig", "ModelStatistics"}
    assert {*client.methods(HEALTH)} == {*health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name}


def test_a_reflection_client_gets_predictions(client: ReflectionClient, model: Model, sample_frame: Frame) -> None:
    """They are the model's own."""
    rows = sample_frame.features[:3]
    tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape, "contents": {"fp32_contents": rows.ravel()}}
    response = client.ask(INFERENCE, "ModelInfer", model_name="xgboost-model", inputs=[tensor])
    probability = response.outputs[1].contents.fp32_contents[1::2]
    assert response.outputs[1].name == "predict_proba"
    assert probability == model.score(rows).probability.tolist()


def test_a_reflection_client_gets_facts_about_the_model(client: ReflectionClient) -> None:
    """They are its configuration, statistics, metadata and health."""
    config = client.ask(INFERENCE, "ModelConfig", name="xgboost-model").config
    assert (config.name, config.input[0].name, list(config.input[0].dims)) == ("xgboost-model", "predict", [200])
    (statistics,) = client.ask(INFERENCE, "ModelStatistics", name="xgboost-model").model_stats
    assert statistics.inference_stats.success.count >= 0
    assert client.ask(INFERENCE, "ModelMetadata", name="xgboost-model").platform == "xgboost"
    assert client.ask(HEALTH, "Check", service="xgboost-model").status == 1


def reflect(channel: grpc.Channel, *messages: bytes) -> Any:  # noqa: ANN401  gRPC's type
    """A reflection call that sends these messages in turn."""
    ask = channel.stream_stream(CALL, response_deserializer=ServerReflectionResponse.FromString)
    return ask(iter(messages), timeout=SECONDS)


def test_an_unknown_name_is_not_found_and_the_call_goes_on(channel: grpc.Channel) -> None:
    """An empty request gets INVALID_ARGUMENT; the last, valid request is still answered."""
    messages = [
        ServerReflectionRequest(file_containing_symbol="inference.Nobody"),
        ServerReflectionRequest(file_by_filename="nobody.proto"),
        ServerReflectionRequest(all_extension_numbers_of_type="日本語"),
        ServerReflectionRequest(),
        ServerReflectionRequest(file_by_filename="dataplane.proto"),
    ]
    responses = list(reflect(channel, *(message.SerializeToString() for message in messages)))
    codes = [response.error_response.error_code for response in responses]
    assert codes == [*[StatusCode.NOT_FOUND.value[0]] * 3, StatusCode.INVALID_ARGUMENT.value[0], 0]
    assert len(responses[-1].file_descriptor_response.file_descriptor_proto) == 2


@pytest.mark.parametrize(
    ("message", "code", "sentence"),
    [
        (b"\xff\xff", StatusCode.INVALID_ARGUMENT, "The message is not one that ServerReflectionInfo takes."),
        (
            ServerReflectionRequest(file_by_filename="x" * 5000).SerializeToString(),
            StatusCode.RESOURCE_EXHAUSTED,
            "The message has 5003 bytes; ServerReflectionInfo takes at most 4096.",
        ),
    ],
    ids=["garbage", "long"],
)
def test_a_message_that_is_invalid_or_too_long_is_refused(
    channel: grpc.Channel, message: bytes, code: StatusCode, sentence: str
) -> None:
    """The refusal is a sentence, and follows the answer to the message before it."""
    call = reflect(channel, ServerReflectionRequest(list_services="").SerializeToString(), message)
    assert next(call).list_services_response.service
    with pytest.raises(grpc.RpcError) as raised:
        next(call)
    assert (raised.value.code(), raised.value.details()) == (code, sentence)


def one_message(stop: threading.Event) -> Iterator[bytes]:
    """One message, and no other until `stop` is set."""
    yield ServerReflectionRequest(list_services="").SerializeToString()
    stop.wait(SECONDS)


def test_an_open_reflection_call_does_not_delay_the_servers_end(model_folder: Path) -> None:
    """The call is refused in a sentence, and the server ends with exit code 0."""
    stop = threading.Event()
    with (
        running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        ask = channel.stream_stream(CALL, response_deserializer=ServerReflectionResponse.FromString)
        call = ask(one_message(stop), timeout=SECONDS)
        assert next(call).list_services_response.service
        server.process.terminate()
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        stop.set()
        assert raised.value.code() is StatusCode.UNAVAILABLE
        assert "took too long to arrive" in raised.value.details()
        assert server.process.wait(SECONDS) == 0
        assert "Traceback" not in server.log.read_text()


def test_open_reflection_calls_delay_no_other_client_for_long(edge: Server, channel: grpc.Channel) -> None:
    """Health and further reflection calls are answered meanwhile."""
    before, stop = edge.log.stat().st_size, threading.Event()
    ask = channel.stream_stream(CALL, response_deserializer=ServerReflectionResponse.FromString)
    idle = [ask(one_message(stop), timeout=SECONDS) for _ in range(STREAM_MESSAGES + 1)]
    assert all(next(call).list_services_response.service for call in idle)
    assert channel.unary_unary(f"/{HEALTH}/Check")(b"", timeout=SECONDS)
    assert len(list(reflect(channel, ServerReflectionRequest(list_services="").SerializeToString()))) == 1
    stop.set()
    for call in idle:
        call.cancel()
    assert b"Traceback" not in edge.log.read_bytes()[before:]
