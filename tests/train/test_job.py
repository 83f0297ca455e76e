"""Hyperparameters and options of a trainer's job."""

import json

import pytest

from tunesmith.service.engines.transformers.job import InvalidJobError, TrainJob, TrainOptions
from tunesmith.service.engines.transformers.model_files import ModelConfig


@pytest.mark.parametrize(("rows", "epochs"), [(10, 25), (50, 6), (99, 4), (100, 3), (9000, 3)])
def test_small_files_are_repeated_more_often(rows, epochs):
    assert TrainJob("base", "chat").resolve(rows, 2048, 10**6).n_epochs == epochs


@pytest.mark.parametrize(("rows", "size"), [(10, 8), (10_000, 20), (10**6, 256)])
def test_a_batch_has_a_500th_of_the_rows(rows, size):
    assert TrainJob("base", "chat").resolve(rows, 2048, 10**6).batch_size == size


@pytest.mark.parametrize(
    ("parameters", "rate"), [(10**6, 1e-3), (135e6, 1e-3), (10**9, 4.42e-4), (7e9, 2e-4)]
)
def test_the_learning_rate_of_adapters_falls_with_the_size_of_the_model(parameters, rate):
    job = TrainJob("base", "chat").resolve(100, 2048, int(parameters))
    assert job.options.learning_rate == pytest.approx(rate, rel=1e-2)


def test_whole_weights_are_trained_at_a_low_rate():
    job = TrainJob("base", "chat", options=TrainOptions(full=True))
    assert job.resolve(100, 2048, 10**6).options.learning_rate == 2e-5


def test_chosen_values_stay():
    options = TrainOptions(learning_rate=0.5, lora_alpha=3, max_length=9000)
    job = TrainJob("base", "chat", n_epochs=2, batch_size=3, options=options)
    resolved = job.resolve(100, 2048, 10**6)
    assert (resolved.n_epochs, resolved.batch_size) == (2, 3)
    assert (resolved.options.learning_rate, resolved.options.lora_alpha) == (0.5, 3)
    assert resolved.options.max_length == 2048  # no more than the model's context window
    assert resolved.total_steps(100) == 2 * 34


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_ranks": 8}, "unknown training option 'lora_ranks'; options are dtype, "),
        ({"lora_rank": 0}, "'lora_rank' must be an integer above 0"),
        ({"lora_rank": True}, "'lora_rank' must be an integer above 0"),
        ({"full": 1}, "'full' must be true or false"),
        ({"lr_scheduler": "magic"}, "'lr_scheduler' must be one of linear, cosine, constant"),
        ({"warmup": 3}, "'warmup' must be a number from 0 to 1"),
        ({"learning_rate": float("nan")}, "'learning_rate' must be a number of at least 0"),
        ({"target_modules": []}, "'target_modules' must be a layer's name"),
    ],
    ids=str,
)
def test_unknown_and_invalid_options_are_refused(options, message):
    with pytest.raises(InvalidJobError, match=message):
        TrainOptions.parse(options)


def test_a_job_is_stored_as_it_is(tmp_path):
    options = TrainOptions.parse({"target_modules": ["q_proj"], "packing": True})
    job = TrainJob("base", "dpo", beta=0.3, options=options)
    job.write(tmp_path / "job.json")
    assert TrainJob.read(tmp_path / "job.json") == job


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"base": "a", "format": "chat", "epochs": 3}', "unknown key 'epochs'"),
        ('{"base": "a"}', "'format' is required"),
        ('{"base": "a", "format": "poem"}', "'format' must be one of completions, chat"),
    ],
)
def test_an_invalid_job_file_is_refused(tmp_path, content, message):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(InvalidJobError, match=message):
        TrainJob.read(tmp_path / "job.json")


def test_numbers_that_no_float_holds_are_refused():
    with pytest.raises(InvalidJobError, match="'learning_rate' must be a number"):
        TrainOptions.parse({"learning_rate": 10**400})


@pytest.mark.parametrize(
    ("options", "format", "message"),
    [
        ({"full": True, "lora_rank": 4}, "chat", "'lora_rank' has no effect with 'full'"),
        ({"n_samples": 4}, "chat", "'n_samples' needs the method reinforcement"),
    ],
)
def test_options_without_an_effect_are_refused(options, format, message):
    with pytest.raises(InvalidJobError, match=message):
        TrainOptions.parse(options).check_effects(options, format)


def test_early_stopping_needs_validation_rows():
    job = TrainJob("base", "chat", options=TrainOptions(early_stopping_patience=1))
    assert job.resolve(100, 2048, 10**6, n_validation=1).options.early_stopping_patience == 1
    with pytest.raises(InvalidJobError, match="'early_stopping_patience' needs validation rows"):
        job.resolve(100, 2048, 10**6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must contain a JSON object"),
        ("{}", "'base' is required"),
        ('{"base": "x"}', "'format' is required"),
        ('{"base": "x", "format": []}', "'format' must be one of completions, chat"),
        ('{"base": "x", "format": "chat", "epochs": 3}', "unknown key 'epochs'; keys are adapter"),
        ('{"base": "x", "format": "chat", "n_epochs": "3"}', "'n_epochs' must be an integer"),
        ('{"base": "x", "format": "chat", "batch_size": 0}', "'batch_size' must be an integer"),
        ('{"base": "x", "format": "chat", "beta": NaN}', "'beta' must be a number"),
        ('{"base": "x", "format": "chat", "seed": -1}', "'seed' must be an integer from 0"),
        ('{"base": "x", "format": "chat", "options": []}', "'options' must be an object"),
        ('{"base": "x", "format": "chat", "options": {"rank": 1}}', "unknown training option"),
    ],
)
def test_errors_of_a_job_file_name_the_file_and_the_value(tmp_path, content, message):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(InvalidJobError, match=message) as caught:
        TrainJob.read(tmp_path / "job.json")
    assert str(caught.value).startswith(str(tmp_path / "job.json"))


@pytest.mark.parametrize(
    ("config", "window", "dimensions"),
    [
        ({"max_position_embeddings": 512, "hidden_size": 8}, 512, 8),
        ({"n_positions": 1024, "n_embd": 12}, 1024, 12),  # GPT-2
        ({"max_seq_len": 99, "d_model": 7}, 99, 7),  # MPT
        ({"text_config": {"max_position_embeddings": 64}, "hidden_size": 1}, 64, None),
        ({}, 2048, None),
    ],
)
def test_sizes_of_a_model_have_several_names(tmp_path, config, window, dimensions):
    (tmp_path / "config.json").write_text(json.dumps(config))
    read = ModelConfig(tmp_path)
    assert (read.context_window, read.dimensions) == (window, dimensions)
