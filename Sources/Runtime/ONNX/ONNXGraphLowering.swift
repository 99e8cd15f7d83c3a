internal import Programs

/// Walks graphs and writes their nodes: functions of the model and branches that are known are written in place.
final class ONNXGraphLowering {
    /// Functions and graphs within one another.
    static let depth = 32
    /// Rounds of one loop.
    static let rounds = 4_096
    /// Nodes that are looked at, those of functions and loops at each call and round.
    static let nodes = 1 << 18

    let lowering: ONNXLowering
    private let functions: [String: ONNXFunction]
    private var nodeCount = 0

    init(_ lowering: ONNXLowering, functions: [ONNXFunction]) throws(ONNXFault) {
        self.lowering = lowering
        var found: [String: ONNXFunction] = [:]
        for function in functions {
            if found.updateValue(function, forKey: "\(function.domain)/\(function.name)") != nil {
                throw .unsupported("has two functions called \"\(function.name.prefix(60))\"")
            }
        }
        self.functions = found
    }

    /// Computes the named outputs of a graph.
    func run(
        _ nodes: [ONNXNode], in scope: ONNXScope, outputs: [String], depth: Int
    ) throws(ONNXFault) -> [Operand] {
        if depth > ONNXGraphLowering.depth {
            throw .tooMany("calls within calls", found: depth, limit: ONNXGraphLowering.depth)
        }
        try count(nodes.reduce(0) { $0 + $1.count })
        let order = try ONNXOrder(nodes, outputs: outputs)
        for place in order.nodes {
            try run(nodes[place], in: scope, consumed: order.consumed, depth: depth)
        }
        var results: [Operand] = []
        for name in outputs { results.append(try scope.value(name, lowering.stored)) }
        return results
    }

    private func count(_ nodes: Int) throws(ONNXFault) {
        nodeCount += nodes
        if nodeCount > ONNXGraphLowering.nodes {
            throw .tooMany(
                "nodes, those of its functions counted at each call,", found: nodeCount, limit: ONNXGraphLowering.nodes)
        }
    }

    private func run(
        _ node: ONNXNode, in scope: ONNXScope, consumed: Set<String>, depth: Int
    ) throws(ONNXFault) {
        var inputs: [Operand?] = []
        for name in node.inputs {
            inputs.append(name.isEmpty ? nil : try scope.value(name, lowering.stored))
        }
        var attributes: [String: ONNXAttribute] = [:]
        for attribute in node.attributes {
            var value = attribute
            if !attribute.reference.isEmpty {
                // An attribute that the call leaves out is left out here too.
                guard let given = scope.attributes[attribute.reference] else { continue }
                value = given
            }
            if attributes.updateValue(value, forKey: attribute.name) != nil {
                throw .graph(
                    "the node \"\(node.title.prefix(60))\" has the attribute \(attribute.name.prefix(60)) twice")
            }
        }
        let domain = node.domain == "ai.onnx" ? "" : node.domain
        let call = ONNXCall(
            operation: node.operation, domain: domain, title: node.title, version: scope.opsets[domain] ?? 1,
            inputs: inputs, outputCount: node.outputs.count, attributes: attributes,
            wantsOutput: node.outputs.map { !$0.isEmpty && consumed.contains($0) })
        let results: [Operand]
        if domain.isEmpty && call.operation == "If" {
            results = try branch(call, scope, depth)
        } else if domain.isEmpty && call.operation == "Loop" {
            results = try loop(call, scope, depth)
        } else if let function = functions["\(node.domain)/\(node.operation)"],
            ONNXOperators.table[domain]?[node.operation] == nil
        {
            results = try inline(function, call, scope, depth)
        } else {
            results = try lowering.lower(call)
        }
        for (place, name) in node.outputs.enumerated() where !name.isEmpty {
            if place < results.count {
                scope.bind(name, to: results[place])
            } else if call.wants(place) {
                throw call.fault("its output \(place) is not made here")
            }
        }
    }

    /// A function's nodes with the call's operands and attributes.
    private func inline(
        _ function: ONNXFunction, _ call: ONNXCall, _ scope: ONNXScope, _ depth: Int
    ) throws(ONNXFault) -> [Operand] {
        var attributes = call.attributes
        for attribute in function.defaults where attributes[attribute.name] == nil {
            attributes[attribute.name] = attribute
        }
        var opsets = scope.opsets
        for (domain, version) in function.opsets { opsets[domain == "ai.onnx" ? "" : domain] = version }
        let inner = try ONNXScope(parent: nil, attributes: attributes, opsets: opsets)
        if call.inputs.count > function.inputs.count { throw call.fault("its function takes fewer inputs") }
        for (place, name) in function.inputs.enumerated() {
            if let operand = call.optional(place) { inner.bind(name, to: operand) }
        }
        return try run(function.nodes, in: inner, outputs: function.outputs, depth: depth + 1)
    }

    /// A branch whose condition is known.
    private func branch(_ call: ONNXCall, _ scope: ONNXScope, _ depth: Int) throws(ONNXFault) -> [Operand] {
        let condition = try lowering.known(try call.input(0), call)
        guard condition.element == .bool, condition.count == 1 else { throw call.fault("its condition is no bool") }
        guard let graph = call.attributes[condition.bits(0) != 0 ? "then_branch" : "else_branch"]?.graph else {
            throw call.fault("a branch of it is missing")
        }
        // A graph's stored tensors are looked through each time that it is entered, so they count as its nodes do.
        try count(graph.initializers.count)
        let inner = try ONNXScope(
            parent: scope, attributes: scope.attributes, opsets: scope.opsets, initializers: graph.initializers)
        return try run(graph.nodes, in: inner, outputs: graph.outputs.map(\.name), depth: depth + 1)
    }

    /// A loop whose rounds are known: its body once for each round.
    private func loop(_ call: ONNXCall, _ scope: ONNXScope, _ depth: Int) throws(ONNXFault) -> [Operand] {
        guard let body = call.attributes["body"]?.graph, body.inputs.count >= 2,
            body.inputs.count == max(2, call.inputs.count), body.outputs.count >= body.inputs.count - 1
        else { throw call.fault("its body does not fit its inputs") }
        var limit = ONNXGraphLowering.rounds + 1
        if let operand = call.optional(0) {
            guard let count = try lowering.integers(operand, call).first else { throw call.fault("its count is none") }
            limit = min(limit, max(0, count))
        }
        func holds(_ operand: Operand) throws(ONNXFault) -> Bool {
            let condition = try lowering.known(operand, call)
            guard condition.count == 1 else { throw call.fault("its condition is not one truth value") }
            return condition.bits(0) != 0
        }
        var goes = try call.optional(1).map { operand throws(ONNXFault) in try holds(operand) } ?? true
        var carried: [Operand] = []
        for place in 2..<max(2, call.inputs.count) { carried.append(try call.input(place)) }
        var scans: [[Operand]] = Array(repeating: [], count: body.outputs.count - 1 - carried.count)
        var round = 0
        while goes && round < limit {
            if round == ONNXGraphLowering.rounds { throw call.fault("it has more than \(round) rounds") }
            try count(1 + body.initializers.count)
            let inner = try ONNXScope(
                parent: scope, attributes: scope.attributes, opsets: scope.opsets, initializers: body.initializers)
            inner.bind(body.inputs[0].name, to: .constant(ConstantTensor(integers: [round], shape: [])))
            inner.bind(body.inputs[1].name, to: .constant(ConstantTensor(.bool, [], .splat(1))))
            for (input, operand) in zip(body.inputs.dropFirst(2), carried) { inner.bind(input.name, to: operand) }
            let results = try run(body.nodes, in: inner, outputs: body.outputs.map(\.name), depth: depth + 1)
            goes = try holds(results[0])
            carried = Array(results[1..<1 + carried.count])
            for (place, result) in results[(1 + carried.count)...].enumerated() { scans[place].append(result) }
            round += 1
        }
        for results in scans {
            if results.isEmpty { throw call.fault("it has no round and gives out a list of them") }
            var rows: [Operand] = []
            for result in results {
                rows.append(try lowering.reshape(result, [1] + lowering.shape(result), call))
            }
            carried.append(try lowering.concat(rows, axis: 0, call))
        }
        return carried
    }
}
