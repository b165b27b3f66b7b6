//! The model and its graphs: names, nesting, declared inputs and outputs.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::parts::{Graph, Node};
use super::port::RawPort;
use super::wire::{Fields, integers};
use super::{Limits, Scan, ScanError, bounds, tensor};

/// The names that a graph inside a node may read: its own graph's and those around it.
struct Scope<'a, 'p> {
    names: HashSet<&'a str>,
    around: Option<&'p Scope<'a, 'p>>,
}

impl Scope<'_, '_> {
    fn knows(&self, name: &str) -> bool {
        self.names.contains(name) || self.around.is_some_and(|around| around.knows(name))
    }
}

struct Scanner<'l> {
    limits: &'l Limits,
    nodes: usize,
    tensors: usize,
    parameters: u64,
    ops: BTreeMap<String, usize>,
}

/// See [`super::scan`].
pub(super) fn scan_file(bytes: &[u8], limits: &Limits) -> Result<Scan, ScanError> {
    if bytes.len() as u64 > limits.file_bytes {
        return Err(ScanError::TooLarge { bytes: bytes.len() as u64, limit: limits.file_bytes });
    }
    if bytes.is_empty() {
        return Err(ScanError::NotOnnx { reason: "the file is empty" });
    }
    let (mut graph, mut opsets, mut ir_version, mut producer) = (None, Vec::new(), 0, String::new());
    let mut entries = 0;
    for field in Fields::new(bytes) {
        let (number, value) = field?;
        entries += 1;
        match number {
            1 => ir_version = value.integer()?,
            2 => producer = value.text()?.chars().take(100).collect(),
            7 => {
                let earlier = graph.replace(value.bytes()?);
                if earlier.is_some() {
                    return Err(ScanError::NotOnnx { reason: "it holds two graphs" });
                }
            }
            8 => opsets.extend(opset(value.bytes()?)?),
            25 => return Err(ScanError::Functions { function: first_text(value.bytes()?)?.into() }),
            _ => {}
        }
        if entries > limits.entries {
            return Err(ScanError::TooMany { what: "entries at the top level", limit: limits.entries });
        }
    }
    let graph = graph.ok_or(ScanError::NotOnnx { reason: "it holds no graph" })?;
    opsets.dedup();
    let [opset] = opsets[..] else { return Err(ScanError::NoOpset) };
    let (oldest, newest) = limits.opset;
    if !(oldest..=newest).contains(&opset) {
        return Err(ScanError::Opset { found: opset, oldest, newest });
    }
    let mut scanner = Scanner { limits, nodes: 0, tensors: 0, parameters: 0, ops: BTreeMap::new() };
    let graph = scanner.graph(graph, 0, None)?;
    bounds::check(&graph, limits)?;
    let initialized: HashSet<&str> = graph.tensors.iter().map(|tensor| tensor.name).collect();
    Ok(Scan {
        ir_version,
        opset,
        producer,
        inputs: graph
            .inputs
            .iter()
            .filter(|port| !initialized.contains(port.name))
            .map(RawPort::port)
            .collect(),
        outputs: graph.outputs.iter().map(RawPort::port).collect(),
        ops: scanner.ops,
        parameters: scanner.parameters,
    })
}

/// The version of the standard operator set, if this entry names that set.
fn opset(bytes: &[u8]) -> Result<Option<i64>, ScanError> {
    let (mut domain, mut version) = ("", 0);
    for field in Fields::new(bytes) {
        match field? {
            (1, value) => domain = value.text()?,
            (2, value) => version = value.integer()?,
            _ => {}
        }
    }
    Ok(matches!(domain, "" | "ai.onnx").then_some(version))
}

/// Field 1 of a message, as text: the name of a function.
fn first_text(bytes: &[u8]) -> Result<&str, ScanError> {
    for field in Fields::new(bytes) {
        if let (1, value) = field? {
            return Ok(value.text()?);
        }
    }
    Ok("")
}

impl Scanner<'_> {
    fn few(&self, count: usize, what: &'static str) -> Result<(), ScanError> {
        let limit = self.limits.entries;
        if count > limit { Err(ScanError::TooMany { what, limit }) } else { Ok(()) }
    }

    fn graph<'a>(
        &mut self,
        bytes: &'a [u8],
        depth: usize,
        outer: Option<&Scope<'a, '_>>,
    ) -> Result<Graph<'a>, ScanError> {
        if depth > self.limits.depth {
            return Err(ScanError::TooDeep { limit: self.limits.depth });
        }
        let mut graph = Graph::default();
        for field in Fields::new(bytes) {
            let (number, value) = field?;
            match number {
                1 => graph.nodes.push(self.node(value.bytes()?)?),
                5 => {
                    let tensor = self.tensor(value.bytes()?)?;
                    self.parameters = self.parameters.saturating_add(tensor.elements);
                    graph.tensors.push(tensor);
                }
                11 => graph.inputs.push(RawPort::read(value.bytes()?, self.limits)?),
                12 => graph.outputs.push(RawPort::read(value.bytes()?, self.limits)?),
                15 => return Err(ScanError::SparseWeights { tensor: "an initializer".into() }),
                _ => {}
            }
            // Old files list every initializer as an input too.
            if graph.inputs.len() > self.limits.tensors {
                return Err(ScanError::TooMany { what: "inputs", limit: self.limits.tensors });
            }
            self.few(graph.outputs.len(), "outputs")?;
        }
        self.wiring(&graph, depth, outer)?;
        Ok(graph)
    }

    /// Every name that is read is produced exactly once, and not in a circle.
    fn wiring<'a>(
        &mut self,
        graph: &Graph<'a>,
        depth: usize,
        outer: Option<&Scope<'a, '_>>,
    ) -> Result<(), ScanError> {
        let mut known: HashSet<&str> = graph.inputs.iter().map(|port| port.name).collect();
        if known.len() != graph.inputs.len() {
            return Err(ScanError::DuplicateTensor { tensor: "an input".into() });
        }
        let mut weights = HashSet::new();
        for tensor in &graph.tensors {
            if !weights.insert(tensor.name) {
                return Err(ScanError::DuplicateTensor { tensor: tensor.name.into() });
            }
        }
        known.extend(weights);
        let mut maker: HashMap<&str, usize> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for &output in node.outputs.iter().filter(|output| !output.is_empty()) {
                if maker.insert(output, index).is_some() || known.contains(output) {
                    return Err(ScanError::DuplicateTensor { tensor: output.into() });
                }
            }
        }
        for output in &graph.outputs {
            if !known.contains(output.name) && !maker.contains_key(output.name) {
                return Err(ScanError::UndeclaredOutput { output: output.name.into() });
            }
        }
        for node in &graph.nodes {
            let found = |name: &str| {
                name.is_empty()
                    || known.contains(name)
                    || maker.contains_key(name)
                    || outer.is_some_and(|outer| outer.knows(name))
            };
            if let Some(tensor) = node.inputs.iter().find(|name| !found(name)) {
                return Err(ScanError::UndefinedTensor { node: node.title(), tensor: (*tensor).into() });
            }
        }
        acyclic(&graph.nodes, &maker)?;
        if graph.nodes.iter().any(|node| !node.graphs.is_empty()) {
            known.extend(maker.keys());
            let scope = Scope { names: known, around: outer };
            for inner in graph.nodes.iter().flat_map(|node| &node.graphs) {
                let inner = self.graph(inner, depth + 1, Some(&scope))?;
                bounds::check(&inner, self.limits)?;
            }
        }
        Ok(())
    }

    fn node<'a>(&mut self, bytes: &'a [u8]) -> Result<Node<'a>, ScanError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(ScanError::TooMany { what: "nodes", limit: self.limits.nodes });
        }
        let mut node = Node::default();
        let mut attributes = 0;
        for field in Fields::new(bytes) {
            let (number, value) = field?;
            match number {
                1 => node.inputs.push(value.text()?),
                2 => node.outputs.push(value.text()?),
                3 => node.name = value.text()?,
                4 => node.op = value.text()?,
                5 => {
                    attributes += 1;
                    self.few(attributes, "attributes of one node")?;
                    self.attribute(value.bytes()?, &mut node)?;
                }
                _ => {}
            }
            self.few(node.inputs.len().max(node.outputs.len()), "inputs or outputs of one node")?;
        }
        if node.op.is_empty() {
            return Err(ScanError::NotOnnx { reason: "a node has no operator" });
        }
        *self.ops.entry(node.op.chars().take(60).collect()).or_default() += 1;
        Ok(node)
    }

    fn attribute<'a>(&mut self, bytes: &'a [u8], node: &mut Node<'a>) -> Result<(), ScanError> {
        let (mut name, mut ints, mut floats) = ("", Vec::new(), Vec::new());
        for field in Fields::new(bytes) {
            let (number, value) = field?;
            match number {
                1 => name = value.text()?,
                3 => ints.push(value.integer()?),
                2 => super::wire::floats(value, &mut |v| floats.push(f64::from(v)))?,
                5 | 10 => node.tensors.push(self.tensor(value.bytes()?)?),
                6 | 11 => node.graphs.push(value.bytes()?),
                22 | 23 => return Err(ScanError::SparseWeights { tensor: node.title() }),
                // A packed list costs at most eight times its bytes, and the file is bounded.
                7 => super::wire::floats(value, &mut |v| floats.push(f64::from(v)))?,
                8 => integers(value, &mut |v| ints.push(v))?,
                _ => {}
            }
            self.few(ints.len().max(floats.len()), "numbers in one attribute")?;
            self.few(node.graphs.len(), "graphs of one node")?;
        }
        node.ints.push((name, ints));
        node.floats.push((name, floats));
        Ok(())
    }

    fn tensor<'a>(&mut self, bytes: &'a [u8]) -> Result<tensor::Tensor<'a>, ScanError> {
        self.tensors += 1;
        if self.tensors > self.limits.tensors {
            return Err(ScanError::TooMany { what: "tensors", limit: self.limits.tensors });
        }
        tensor::read(bytes, self.limits)
    }
}

/// Kahn's algorithm over the node graph.
fn acyclic(nodes: &[Node<'_>], maker: &HashMap<&str, usize>) -> Result<(), ScanError> {
    let mut waiting = vec![0usize; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for from in node.inputs.iter().filter_map(|input| maker.get(input)) {
            waiting[index] += 1;
            readers[*from].push(index);
        }
    }
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|&index| waiting[index] == 0).collect();
    let mut seen = 0;
    while let Some(index) = ready.pop() {
        seen += 1;
        for &reader in &readers[index] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    match (0..nodes.len()).find(|&index| waiting[index] > 0) {
        Some(index) if seen < nodes.len() => Err(ScanError::Cycle { node: nodes[index].title() }),
        _ => Ok(()),
    }
}
