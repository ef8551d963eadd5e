"""A client that knows nothing of the server learns its services and messages from it, and then asks it by them."""

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
    """A connection to the one server."""
    with grpc.insecure_channel(edge.grpc) as opened:
        yield opened


@pytest.fixture(scope="module")
def described(channel: grpc.Channel) -> descriptor_pool.DescriptorPool:
    """All that the server says of itself, and nothing else."""
    return descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


class Stranger:
    """A client that has no protocol buffers but those that the server describes."""

    def __init__(self, channel: grpc.Channel, described: descriptor_pool.DescriptorPool) -> None:
        self._channel, self._described = channel, described

    def methods(self, service: str) -> dict[str, MethodDescriptor]:
        return dict(self._described.FindServiceByName(service).methods_by_name)

    def ask(self, service: str, name: str, /, **members: Any) -> Any:  # noqa: ANN401  a message's own
        method = self.methods(service)[name]
        asked, answered = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
        call = self._channel.unary_unary(f"/{service}/{name}", asked.SerializeToString, answered.FromString)
        return call(asked(**members), timeout=SECONDS)


@pytest.fixture(scope="module")
def stranger(channel: grpc.Channel, described: descriptor_pool.DescriptorPool) -> Stranger:
    """Such a client of the one server."""
    return Stranger(channel, described)


def test_the_services_are_those_that_are_there(channel: grpc.Channel) -> None:
    """Inference, the repository of models, health, and this one."""
    found = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert sorted(found) == sorted([INFERENCE, REPOSITORY, HEALTH, REFLECTION])


@pytest.mark.parametrize("service", [INFERENCE, REPOSITORY, HEALTH])
def test_what_is_described_is_there(channel: grpc.Channel, stranger: Stranger, service: str) -> None:
    """No method of a service that is described is one that the server does not have."""
    methods = stranger.methods(service)
    assert methods
    for name in methods:
        call = channel.unary_stream(f"/{service}/{name}")(b"\xff", timeout=SECONDS)
        with suppress(grpc.RpcError):
            next(call, None)
        assert call.details() != "Method not found!", name


def test_of_each_service_all_methods_are_described(stranger: Stranger) -> None:
    """Those of the protocol, and Triton's beside them."""
    protocol = dataplane_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    assert {*stranger.methods(INFERENCE)} == {*protocol, "ModelConfig", "ModelStatistics"}
    assert {*stranger.methods(HEALTH)} == {*health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name}


def test_a_stranger_gets_predictions(stranger: Stranger, model: Model, sample_frame: Frame) -> None:
    """The same as anybody."""
    rows = sample_frame.features[:3]
    tensor = {"name": "x", "datatype": "FP32", "shape": rows.shape, "contents": {"fp32_contents": rows.ravel()}}
    found = stranger.ask(INFERENCE, "ModelInfer", model_name="xgboost-model", inputs=[tensor])
    probability = found.outputs[1].contents.fp32_contents[1::2]
    assert found.outputs[1].name == "predict_proba"
    assert probability == model.score(rows).probability.tolist()


def test_a_stranger_learns_of_the_model(stranger: Stranger) -> None:
    """Its configuration, its statistics, its metadata and its health."""
    config = stranger.ask(INFERENCE, "ModelConfig", name="xgboost-model").config
    assert (config.name, config.input[0].name, list(config.input[0].dims)) == ("xgboost-model", "predict", [200])
    (statistics,) = stranger.ask(INFERENCE, "ModelStatistics", name="xgboost-model").model_stats
    assert statistics.inference_stats.success.count >= 0
    assert stranger.ask(INFERENCE, "ModelMetadata", name="xgboost-model").platform == "xgboost"
    assert stranger.ask(HEALTH, "Check", service="xgboost-model").status == 1


def questions(channel: grpc.Channel, *messages: bytes) -> Any:  # noqa: ANN401  gRPC's type
    """The call that asks so, one after the other."""
    ask = channel.stream_stream(CALL, response_deserializer=ServerReflectionResponse.FromString)
    return ask(iter(messages), timeout=SECONDS)


def test_of_the_unknown_nothing_is_told(channel: grpc.Channel) -> None:
    """It is not found, and the call goes on."""
    asked = [
        ServerReflectionRequest(file_containing_symbol="inference.Nobody"),
        ServerReflectionRequest(file_by_filename="nobody.proto"),
        ServerReflectionRequest(all_extension_numbers_of_type="日本語"),
        ServerReflectionRequest(),
        ServerReflectionRequest(file_by_filename="dataplane.proto"),
    ]
    found = list(questions(channel, *(each.SerializeToString() for each in asked)))
    codes = [each.error_response.error_code for each in found]
    assert codes == [*[StatusCode.NOT_FOUND.value[0]] * 3, StatusCode.INVALID_ARGUMENT.value[0], 0]
    assert len(found[-1].file_descriptor_response.file_descriptor_proto) == 2


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
def test_what_is_no_question_is_refused(channel: grpc.Channel, message: bytes, code: StatusCode, sentence: str) -> None:
    """In a sentence, after the answers to what came before it."""
    call = questions(channel, ServerReflectionRequest(list_services="").SerializeToString(), message)
    assert next(call).list_services_response.service
    with pytest.raises(grpc.RpcError) as raised:
        next(call)
    assert (raised.value.code(), raised.value.details()) == (code, sentence)


def silent(stop: threading.Event) -> Iterator[bytes]:
    """One question, and no other until then."""
    yield ServerReflectionRequest(list_services="").SerializeToString()
    stop.wait(SECONDS)


def test_who_may_ask_more_does_not_hold_up_the_end(model_folder: Path) -> None:
    """The call is ended with a sentence, and the server ends cleanly."""
    stop = threading.Event()
    with (
        running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        ask = channel.stream_stream(CALL, response_deserializer=ServerReflectionResponse.FromString)
        call = ask(silent(stop), timeout=SECONDS)
        assert next(call).list_services_response.service
        server.process.terminate()
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        stop.set()
        assert raised.value.code() is StatusCode.UNAVAILABLE
        assert "took too long to arrive" in raised.value.details()
        assert server.process.wait(SECONDS) == 0
        assert "Traceback" not in server.log.read_text()


def test_who_asks_nothing_more_holds_up_nobody_for_long(edge: Server, channel: grpc.Channel) -> None:
    """Health is told meanwhile, and whoever else asks the same is answered."""
    before, stop = edge.log.stat().st_size, threading.Event()
    ask = channel.stream_stream(CALL, response_deserializer=ServerReflectionResponse.FromString)
    idle = [ask(silent(stop), timeout=SECONDS) for _ in range(STREAM_MESSAGES + 1)]
    assert all(next(call).list_services_response.service for call in idle)
    assert channel.unary_unary(f"/{HEALTH}/Check")(b"", timeout=SECONDS)
    assert len(list(questions(channel, ServerReflectionRequest(list_services="").SerializeToString()))) == 1
    stop.set()
    for call in idle:
        call.cancel()
    assert b"Traceback" not in edge.log.read_bytes()[before:]
