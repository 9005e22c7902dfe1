"""The dataset: what is computed is not taken from the records."""

import pytest

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.errors import UserError


def adding(name, value, takes=("x",)):
    return lambda dataset: dataset.add_dynamic_item(lambda x: value, takes, name)


@pytest.mark.parametrize("name", ["label_encoded", "tokens"])
def test_a_column_of_a_computed_item_is_refused(name):
    records = {"a": {"x": 1}, "b": {"x": 1, name: 0}}
    with pytest.raises(UserError, match=f"the column '{name}'.*Rename .* or drop it"):
        ManifestDataset(records, [adding(name, 1)], [name])
    with pytest.raises(UserError, match=name):  # several at once
        ManifestDataset(records, [adding(["y", name], (1, 2))])
    assert ManifestDataset(records, [adding("y", 1)], ["y"])[1] == {"y": 1}


@pytest.mark.parametrize("name", ["draw", "sig", "feats"])
def test_items_of_all_tasks_are_no_columns(name):
    with pytest.raises(UserError, match=f"the column '{name}'"):
        ManifestDataset({"a": {name: 1}})


def test_a_computed_item_may_be_refined():
    pipes = [adding("sig", 1), adding("sig", 2, ("sig",))]
    assert ManifestDataset({"a": {"x": 1}}, pipes, ["sig"])[0] == {"sig": 2}
