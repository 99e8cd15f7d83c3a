internal import Programs

/// The names that nodes see: those of their graph, and behind them those of the graphs around it. A function sees its own only.
final class ONNXScope {
    let parent: ONNXScope?
    /// Attributes of the call, in a function.
    let attributes: [String: ONNXAttribute]
    let opsets: [String: Int]
    private var values: [String: Operand] = [:]
    /// Stored tensors that nobody has read yet.
    private var initializers: [String: ONNXTensorProto]

    init(
        parent: ONNXScope?, attributes: [String: ONNXAttribute], opsets: [String: Int],
        initializers: [ONNXTensorProto] = []
    ) throws(ONNXFault) {
        self.parent = parent
        self.attributes = attributes
        self.opsets = opsets
        self.initializers = [:]
        for proto in initializers {
            if self.initializers.updateValue(proto, forKey: proto.name) != nil {
                throw .graph("two stored tensors are called \"\(proto.name.prefix(60))\"")
            }
        }
    }

    func bind(_ name: String, to operand: Operand) { values[name] = operand }

    func value(_ name: String, _ stored: ONNXStoredTensors) throws(ONNXFault) -> Operand {
        var scope = self
        while true {
            if let found = scope.values[name] { return found }
            if let proto = scope.initializers[name] {
                let operand = Operand.constant(try stored.constant(proto, refusesNaN: true))
                scope.values[name] = operand
                return operand
            }
            guard let outer = scope.parent else { throw .graph("nothing makes \"\(name.prefix(60))\"") }
            scope = outer
        }
    }
}

/// The order in which a graph's nodes are computed: those that the outputs need, each after what it reads, else as the file has them.
struct ONNXOrder {
    private(set) var nodes: [Int] = []
    /// Names that a needed node or an output reads.
    private(set) var consumed: Set<String>

    init(_ graph: [ONNXNode], outputs: [String]) throws(ONNXFault) {
        var makers: [String: Int] = [:]
        for (place, node) in graph.enumerated() {
            for name in node.outputs where !name.isEmpty {
                if makers.updateValue(place, forKey: name) != nil {
                    throw .graph("two nodes make \"\(name.prefix(60))\"")
                }
            }
        }
        let reads = graph.map { ONNXOrder.reads($0) }
        consumed = Set(outputs)
        var isNeeded = [Bool](repeating: false, count: graph.count)
        var open = outputs.compactMap { makers[$0] }
        while let place = open.popLast() {
            if isNeeded[place] { continue }
            isNeeded[place] = true
            consumed.formUnion(reads[place])
            open += reads[place].compactMap { makers[$0] }
        }
        // 0 not seen, 1 waiting for what it reads, 2 done.
        var states = [UInt8](repeating: 0, count: graph.count)
        for first in graph.indices where isNeeded[first] && states[first] == 0 {
            var stack = [(node: first, next: 0)]
            states[first] = 1
            while let (place, next) = stack.last {
                if next == reads[place].count {
                    states[place] = 2
                    nodes.append(place)
                    stack.removeLast()
                    continue
                }
                stack[stack.count - 1].next += 1
                guard let maker = makers[reads[place][next]], states[maker] != 2 else { continue }
                if states[maker] == 1 {
                    throw .graph("the node \"\(graph[maker].title.prefix(60))\" depends on its own result")
                }
                states[maker] = 1
                stack.append((maker, 0))
            }
        }
    }

    /// The names of its graph that a node reads, those that graphs within it read included.
    static func reads(_ node: ONNXNode) -> [String] {
        var names = node.inputs.filter { !$0.isEmpty }
        for attribute in node.attributes {
            if let graph = attribute.graph { names += free(graph) }
        }
        return names
    }

    private static func free(_ graph: ONNXGraph) -> [String] {
        var own = Set(graph.initializers.map(\.name)).union(graph.inputs.map(\.name))
        for node in graph.nodes { own.formUnion(node.outputs) }
        return (graph.nodes.flatMap { reads($0) } + graph.outputs.map(\.name)).filter { !own.contains($0) }
    }
}
