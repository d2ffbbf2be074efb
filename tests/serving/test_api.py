"""The service on the web: its schema, its limits, and that nothing sent to it breaks it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from crossrec.serving.api import build
from crossrec.serving.service import Service


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(
        build(service, ["127.0.0.1"]), "http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        yield client


def test_a_visit(client: TestClient, service: Service) -> None:
    about = client.get("/about").json()
    assert about["domains"]["electronics"]["rows"] == ["transferred", "scratch"]
    user = client.get("/users?limit=1").json()["users"][0]
    query = {"user": user, "domain": "electronics", "n": 3, "hot": 0.3, "half_life": "1d"}
    lists = client.get("/recommendations", params=query).json()["lists"]
    assert [item["rank"] for item in lists["transferred"]] == [1, 2, 3]
    best = lists["transferred"][0]["item"]
    told = client.post("/events", json={"user": user, "domain": "electronics", "item": best})
    assert (told.status_code, told.json()) == (201, {"new_events": 1})
    assert client.get("/history", params={"user": user}).json()["history"][-1]["item"] == best
    item = {"item": "new", "title": "oak pan", "brand": "brandless"}
    added = client.post("/items", json={"domain": "home", "items": [item]})
    assert (added.status_code, added.json()) == (201, {"items": ["new"]})
    found = client.get("/items?domain=home&search=oak pan").json()["items"]
    assert found[0] == {"item": "new", "title": "oak pan"}
    body = {"domain": "electronics", "history": [{"domain": "home", "item": "new"}]}
    reasons = client.post("/recommendations", json=body).json()["lists"]["transferred"]
    assert {reason["item"] for item in reasons for reason in item["reasons"]} <= {"new"}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/recommendations?user=nobody&domain=home", None, 404, "POST /events"),
        ("/recommendations?user=nobody&domain=shoes", None, 404, "no domain 'shoes'"),
        ("/recommendations?domain=home", None, 422, "user: Field required"),
        ("/recommendations?user=a&domain=home&n=101", None, 422, "less than or equal to 100"),
        ("/recommendations?user=a&domain=home&hot=2", None, 422, "hot"),
        ("/recommendations?user=a&domain=home&hot=nan", None, 422, "hot"),
        ("/recommendations?user=a&domain=home&halflife=1d", None, 422, "halflife: Extra"),
        ("/recommendations?user=a&domain=home&half_life=1y", None, 422, "half_life"),
        ("/events", {"user": "a", "domain": "home", "item": "x"}, 404, "has no item 'x'"),
        ("/events", {"user": "a" * 257, "domain": "home", "item": "x"}, 422, "256 characters"),
        ("/events", {"user": "a", "domain": "home", "item": "x", "run": "/etc"}, 422, "Extra"),
        ("/items", {"domain": "home", "items": [{"item": "bare"}]}, 422, "has no text"),
        ("/items", {"domain": "home", "items": [{"item": "i"}] * 21}, 422, "at most 20"),
        ("/items", {"domain": "home", "items": []}, 422, "at least 1"),
        ("/nothing", None, 404, "Not Found"),
        ("/../../etc/passwd", None, 404, "Not Found"),
        ("/events", None, 405, "Method Not Allowed"),
    ],
)
def test_a_mistake_is_answered(
    client: TestClient, path: str, body: Any, status: int, said: str
) -> None:
    answer = client.get(path) if body is None else client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]


def test_bodies_and_hosts_are_bounded(client: TestClient) -> None:
    long = client.post("/events", content=b" " * 1_100_000)
    assert long.status_code == 413, long.text
    broken = client.post("/events", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 422
    # What a page elsewhere can send without asking first, and under whose name.
    plain = client.post("/events", content=b'{"user":"a","domain":"home","item":"x"}')
    assert plain.status_code == 422
    assert client.get("/about", headers={"Host": "evil.example"}).status_code == 400


class Draws:
    """Values for the fields of an OpenAPI schema, right ones and wrong ones.

    Args:
        schema: what the service says of itself.
        real: names that it knows, by the field that holds them.
    """

    def __init__(self, schema: dict[str, Any], real: dict[str, list[str]]) -> None:
        self.models, self.real = schema["components"]["schemas"], real

    def field(self, name: str, field: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "$ref" in field:
            return self.body(field["$ref"])
        if "anyOf" in field:
            return st.one_of(*(self.field(name, option) for option in field["anyOf"]))
        if field.get("type") == "array":
            return st.lists(self.field(name, field["items"]), min_size=1, max_size=2)
        right: dict[str, st.SearchStrategy[Any]] = {
            "string": st.text(max_size=20),
            "integer": st.integers(1, 2),
            "number": st.floats(0, 1),
            "null": st.none(),
        }
        halves = st.text(st.characters(exclude_categories=()))  # of surrogate pairs, too
        wrong = st.none() | st.booleans() | st.integers() | st.floats() | halves | st.lists(halves)
        known = st.sampled_from(self.real[name]) if name in self.real else right[field["type"]]
        return st.integers(0, 9).flatmap(lambda die: known if die else wrong)

    def body(self, reference: str) -> st.SearchStrategy[Any]:
        model = self.models[reference.rpartition("/")[2]]
        fields = {name: self.field(name, field) for name, field in model["properties"].items()}
        needed = {name: fields.pop(name) for name in model.get("required", ())}
        whole = st.fixed_dictionaries(needed, optional=fields)
        return whole | st.fixed_dictionaries({}, optional={**needed, **fields})


def test_nothing_that_the_schema_names_breaks_the_service(
    client: TestClient, service: Service
) -> None:
    schema = client.get("/openapi.json").json()
    items = [str(item["item"]) for item in service.search("electronics", "", 3)]
    draws = Draws(
        schema,
        {
            "domain": ["electronics", "home", "target"],
            "item": [*items, *"uvwxyz"],
            "user": [str(service.run.pair.target.user_ids[0]), "zoe"],
            "title": ["oak pan"],
            "half_life": ["1d", "1y"],
            "search": ["oak", ""],
        },
    )
    operations = [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]

    @settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        for path, method, operation in operations:
            if method == "post":
                content = operation["requestBody"]["content"]["application/json"]
                body = json.dumps(data.draw(draws.body(content["schema"]["$ref"])))
                headers = {"Content-Type": "application/json"}
                answer = client.post(path, content=body, headers=headers)
            else:
                fields = {p["name"]: p["schema"] for p in operation.get("parameters", [])}
                query = {
                    name: _sendable(str(data.draw(draws.field(name, field))))
                    for name, field in fields.items()
                    if data.draw(st.integers(0, 9))
                }
                answer = client.get(path, params=query)
            assert str(answer.status_code) in operation["responses"], (path, answer.text)
            assert (answer.status_code < 400) != ("error" in answer.json())

    ask()


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
