"""Put-back batch normalisation: the same function at first, in the file the same function at last."""

import pytest
import torch
from conftest import small_network

from graft_trainer import norms
from graft_trainer.graph import read_graph
from graft_trainer.network import Network
from graft_trainer.stages import find_stages


def prepared(**options):
    network = Network(read_graph(small_network(**options), None)).eval()
    return network, find_stages(network, network.probe(24))


def pictures(count=40, seed=0):
    return torch.randn(count, 3, 24, 24, generator=torch.Generator().manual_seed(seed))


def close(a, b):
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("top", [1, 2, 3])
def test_put_back_normalisation_changes_nothing_at_first(top):
    network, stages = prepared()
    before = network(pictures(8, 1))
    norms.put_back(network, stages[:top], pictures().split(16), fresh=False)
    assert len(network.norms) == {1: 2, 2: 4, 3: 5}[top]
    # On pictures it was not calibrated with.
    assert close(network(pictures(8, 1)), before) < 1e-5
    # With live statistics and the calibration's own pictures too.
    whole = network(pictures())
    network.live = norms.live_nodes(stages, network)
    assert close(network.train()(pictures()), whole) < 1e-3


def test_the_file_computes_what_the_normalised_network_does():
    network, stages = prepared()
    norms.put_back(network, stages, [pictures()], fresh=False)
    network.live = norms.live_nodes(stages, network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    norms.settle(network, None, pictures(64, 5).split(32))
    network.eval()
    file = Network(read_graph(network.graph.with_weights(norms.file_weights(network)), None)).eval()
    assert close(file(pictures(8, 3)), network(pictures(8, 3))) < 1e-5
    assert not torch.equal(file.weight("stem.weight"), network.weight("stem.weight"))


def test_settled_statistics_are_those_of_the_pictures():
    network, stages = prepared(norm=True)
    network.live = norms.live_nodes(stages, network)
    norms.settle(network, None, pictures(64).split(32))
    with torch.no_grad():
        first = network.eval()(pictures(64), stop="stem")
    stored = dict(zip(network.graph.statistics, network.buffers()))
    assert torch.allclose(stored["stem.mean"], first.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(stored["stem.var"], first.var((0, 2, 3)), rtol=1e-2)


def test_a_convolution_before_a_normalisation_gets_no_second_one():
    network, stages = prepared(norm=True)
    norms.put_back(network, stages, [pictures()], fresh=False)
    assert len(network.norms) == 0


def test_a_fresh_normalisation_gives_channels_of_one_size():
    network, stages = prepared()
    norms.put_back(network, stages, [pictures()], fresh=True)
    with torch.no_grad():
        out = network(pictures(), stop="stem")
    assert torch.allclose(out.std((0, 2, 3)), torch.ones(8), atol=1e-2) and out.mean((0, 2, 3)).abs().max() < 1e-3
