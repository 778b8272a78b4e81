import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from batteryscope.config.table_study import NetworkSettings
from batteryscope.tables.networks import (
    AdapterStack,
    NetworkStack,
    build_stack,
    find_adapter_nodes,
    join_networks,
    measure_scaling,
    predict_rows,
    take_network,
)
from tests.table_networks import N_FEATURES, make_rows, make_stack


def make_adapter_stack(n=3):
    frozen, adapter = make_stack(n), NetworkStack(n, 1, 1, 4)
    for i in range(n):
        rows = make_rows(15, 50 + i, shift=4)
        adapter.draw_weights(i, np.random.default_rng(90 + i))
        outputs = predict_rows(take_network(frozen, i), rows.features)
        adapter.fit_scaling(i, outputs[:, None], rows.targets * 2)
    return AdapterStack(frozen, adapter)


@pytest.mark.parametrize(
    ("n_features", "layers", "nodes", "network", "adapter"),
    [(6, 4, 4, 93, 13), (6, 3, 3, 49, 10), (5, 3, 3, 46, 10)],
)
def test_parameters_are_those_of_the_paper(n_features, layers, nodes, network, adapter):
    stack = AdapterStack(NetworkStack(1, n_features, layers, nodes), NetworkStack(1, 1, 1, nodes))
    trainable = [p.numel() for p in stack.parameters() if p.requires_grad]
    assert sum(trainable) == adapter
    assert sum(p.numel() for p in stack.frozen.parameters()) == network


def test_adapter_may_be_wider_than_the_network():
    assert find_adapter_nodes(NetworkSettings(nodes=3, adapter_nodes=5)) == 5
    assert find_adapter_nodes(NetworkSettings(nodes=3)) == 3


def test_stack_computes_what_each_network_alone_does_by_hand():
    stack = make_stack(2)
    rows = [make_rows(5, 7).features, make_rows(5, 8).features]
    found = stack(torch.from_numpy(np.stack(rows))).detach().numpy()
    assert found.shape == (2, 5)
    for i, x in enumerate(rows):
        h = (x - stack.input_mean[i].numpy()) / stack.input_sd[i].numpy()
        for weight, bias in zip(stack.weights[:-1], stack.biases[:-1], strict=True):
            h = np.maximum(h @ weight[i].detach().numpy() + bias[i].detach().numpy(), 0)
        z = (h @ stack.weights[-1][i].detach().numpy())[:, 0] + stack.biases[-1][i].item()
        expected = z * stack.output_sd[i].item() + stack.output_mean[i].item()
        np.testing.assert_allclose(found[i], expected, rtol=1e-12)


def test_scaling_is_that_of_the_training_rows():
    stack, rows = make_stack(1, seed=4), make_rows(20, 4)
    scaled = stack.scale_features(torch.from_numpy(rows.features)[None])[0].numpy()
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1)
    assert stack.output_mean.item() == pytest.approx(rows.targets.mean())
    assert stack.output_sd.item() == pytest.approx(rows.targets.std())


def test_constant_feature_is_divided_by_one():
    values = np.column_stack([np.full(7, 0.1), np.zeros(7), np.arange(7.0)])
    mean, sd = measure_scaling(values)
    assert sd.tolist() == [1, 1, 2]
    np.testing.assert_allclose(mean, [0.1, 0, 3])


@pytest.mark.parametrize("make", [make_stack, make_adapter_stack])
def test_network_taken_out_predicts_the_same_from_raw_features(make):
    stack = make(3)
    features = make_rows(11, 30, shift=3).features
    together = stack(torch.from_numpy(np.stack([features] * 3))).detach().numpy()
    for i in range(3):
        alone = predict_rows(take_network(stack, i), features)
        np.testing.assert_allclose(alone, together[i], rtol=1e-12)
    assert not np.allclose(together[0], together[1], rtol=1e-3)


@pytest.mark.parametrize("make", [make_stack, make_adapter_stack])
def test_stack_is_rebuilt_from_plain_values_and_tensors(make):
    stack = make(2)
    features = torch.from_numpy(np.stack([make_rows(6, 1).features] * 2))
    rebuilt = build_stack(json.loads(json.dumps(stack.describe())))
    assert not torch.equal(rebuilt(features), stack(features))
    rebuilt.load_state_dict(load(save(stack.state_dict())))
    assert torch.equal(rebuilt(features), stack(features))


def test_joined_networks_are_copies_in_order():
    first, second = make_stack(1, seed=1), make_stack(2, seed=5)
    joined = join_networks([first, second])
    assert joined.n == 3
    assert torch.equal(joined.weights[0][0], first.weights[0][0])
    assert torch.equal(joined.weights[0][2], second.weights[0][1])
    with torch.no_grad():
        joined.weights[0].zero_()
    assert first.weights[0].abs().sum() > 0


def test_gradients_reach_the_adapter_and_the_features_but_not_the_frozen_network():
    stack = make_adapter_stack(2)
    features = torch.from_numpy(np.stack([make_rows(6, 1).features] * 2)).requires_grad_()
    stack(features).sum().backward()
    assert all(p.grad is None for p in stack.frozen.parameters())
    assert all(p.grad is not None for p in stack.adapter.parameters())
    assert features.grad.abs().sum() > 0


def test_adapter_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="expected as many, with 1 input"):
        AdapterStack(make_stack(2), NetworkStack(2, N_FEATURES, 1, 4))
