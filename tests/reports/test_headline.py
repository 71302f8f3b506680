from prescreen.reports.headline import headline


def test_defined_figures_are_picked_and_the_others_left_out():
    smart = {
        "pearson": {"value": 0.71239, "low": 0.6, "high": 0.8},
        "mae": {"value": 0.3, "low": 0.2, "high": 0.4},
        "r2": {"value": None, "low": None, "high": None},
        "coverage": {"share": {"value": 0.9, "low": 0.8, "high": 1.0}, "width": 1.2},
        "ceiling": None,
        "screening": {"top": 12, "recall": {"value": 0.5, "low": 0.1, "high": 0.9}},
    }
    assert headline({"n": 10, "traits": {"smart": smart}}) == {
        "smart": {"r": 0.7124, "mae": 0.3, "coverage": 0.9, "recall_of_best": 0.5}
    }
