"""How tests are shared among processes: those that share a costly fixture stay together."""

import pytest

TOGETHER = (
    "cli/test_model.py",
    "cli/test_predict.py",
    "cli/test_report.py",
    "cli/test_train.py",
    "draw/test_page.py",
    "estimators/test_contract.py",
    "test_examples.py",
)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.as_posix().endswith(TOGETHER):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
