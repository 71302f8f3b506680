from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from prescreen.tracking.store import safe_name, safely_named

ODD = st.text(st.sampled_from("ab ./?:é\\💡\n"), max_size=300)


@settings(deadline=None)  # the first call imports MLflow
@given(st.sets(ODD, max_size=30))
def test_names_are_accepted_and_stay_apart(names):
    made = safely_named(dict.fromkeys(names, 0.0))
    assert len(made) == len(names)
    for name in made:
        _validate_metric_name(name)
        _validate_param_name(name)
        assert safe_name(name) == name


def test_a_name_that_is_accepted_stays():
    for name in ("mean/pearson", "läuft/interval/rmse_low", "regressor/a.b c-d:e"):
        assert safe_name(name) == name


def test_the_figure_of_a_long_or_odd_trait_can_be_read_and_depends_on_nothing_else():
    for trait in ("x" * 400, "Would you trust her, at work?", "系" * 200):
        group, _, figure = safe_name(f"{trait}/interval/rmse_low").partition("/")
        assert figure == "interval/rmse_low"
        assert group == safe_name(trait) != trait
    assert safe_name("a+b/r") != safe_name("a(b/r") != safe_name("a_b/r")
