//! A picture of a graph, in Graphviz's language.

use super::graph::{Graph, Id, Node, Shape};
use std::fmt::Write;

/// Everything that leads to `outputs`, one line a node and one an edge.
pub fn graphviz(graph: &Graph, outputs: &[Id]) -> String {
    let live = graph.live(outputs.iter().copied());
    let mut out = String::from("digraph model {\n  rankdir = BT;\n  node [shape = box];\n");
    for id in (0..graph.count()).filter(|&id| live[id]) {
        let style = if outputs.contains(&id) { ", style = bold" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  n{id} [label = \"{}\"{style}];", label(graph, id));
        for input in graph.inputs(id) {
            let _ = writeln!(out, "  n{input} -> n{id};");
        }
    }
    out.push_str("}\n");
    out
}

fn label(graph: &Graph, id: Id) -> String {
    let name = match graph.node(id) {
        Node::Constant(bits) => format!("{:?}", f64::from_bits(*bits)),
        Node::Parameter(i) => format!("parameter {i}"),
        Node::Data(i) => format!("data {i}"),
        Node::Map(op, ..) => op.name(),
        Node::Expand(..) => "expand".into(),
        Node::Sum(_) => "sum".into(),
        Node::Stack(_) => "stack".into(),
        Node::Index(_, i) => format!("index {i}"),
        Node::Combine(..) => "combine".into(),
        Node::Project(..) => "project".into(),
        Node::Complex(..) => "complex".into(),
        Node::Re(_) => "re".into(),
        Node::Im(_) => "im".into(),
        Node::Transform(..) => "transform".into(),
        Node::Adjoint(..) => "transform adjoint".into(),
    };
    match graph.shape(id) {
        Shape::Scalar => name,
        Shape::Vector(n) => format!("{name}\\n({n})"),
        Shape::Array(space) => format!("{name}\\n[{}]", graph.spaces[space]),
        Shape::Field(space) => format!("{name}\\ncomplex [{}]", graph.spaces[space]),
    }
}
