"""The generated papers say what the model says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

TOOLS = Path(__file__).parent.parent.parent / "tools"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("service", ["ecs", "sts", "s3", "dynamodb", "xray"])
def test_generated_types_are_typed_dicts_of_the_model(service: str) -> None:
    generated = ModuleType(f"generated_{service}")
    sys.modules[generated.__name__] = generated
    try:
        exec(compile(tool("gen_types").render(service), service, "exec"), generated.__dict__)
        for name, kind in vars(generated).items():
            if isinstance(kind, type) and name not in {"Any", "datetime", "Mapping", "Sequence"}:
                assert get_type_hints(kind) is not None  # every name that an annotation uses exists
    finally:
        del sys.modules[generated.__name__]


def test_generated_types_require_what_the_model_requires() -> None:
    text = tool("gen_types").render("ecs")
    assert "class RunTaskIn(TypedDict):" in text
    assert "    taskDefinition: str\n" in text
    assert "    cluster: NotRequired[str]\n" in text
    assert "class RunTaskOut(TypedDict):\n    tasks: NotRequired[Sequence[Task]]\n" in text


def test_the_coverage_page_counts_and_names() -> None:
    page = tool("coverage").render([("sts", frozenset({"GetCallerIdentity"})), ("ecs", frozenset())])
    assert page.index("[ecs]") < page.index("[sts]")
    assert "| [sts](#sts) | query | 1 | 11 |" in page
    assert "Served: `GetCallerIdentity`." in page
    assert "`AssumeRole`" in page.split("Not served:")[-1]


def test_the_coverage_page_refuses_operations_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="Fly"):
        tool("coverage").render([("sts", frozenset({"Fly"}))])
