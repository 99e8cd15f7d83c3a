internal import Programs

/// A value while a graph is lowered: known at import, or computed by the program.
enum Operand {
    case constant(ConstantTensor)
    case value(ValueID)
}

/// One node with its operands and attributes, as an operator sees it.
struct ONNXCall {
    let operation: String
    let domain: String
    let title: String
    /// The version of the operator's domain.
    let version: Int
    let inputs: [Operand?]
    let outputCount: Int
    let attributes: [String: ONNXAttribute]
    /// Which outputs somebody reads.
    let wantsOutput: [Bool]

    func fault(_ reason: String) -> ONNXFault { .operation(operation, node: title, reason) }

    func input(_ place: Int) throws(ONNXFault) -> Operand {
        guard place < inputs.count, let operand = inputs[place] else { throw fault("its input \(place) is missing") }
        return operand
    }

    func optional(_ place: Int) -> Operand? { place < inputs.count ? inputs[place] : nil }

    /// The inputs, all of which must be there.
    func all() throws(ONNXFault) -> [Operand] {
        var operands: [Operand] = []
        for place in inputs.indices { operands.append(try input(place)) }
        if operands.isEmpty { throw fault("it has no input") }
        return operands
    }

    func wants(_ place: Int) -> Bool { place < wantsOutput.count && wantsOutput[place] }

    func has(_ name: String) -> Bool { attributes[name] != nil }

    /// Attributes are sizes, axes and flags: none is larger than a tensor can be.
    func integer(_ name: String, _ standard: Int) throws(ONNXFault) -> Int {
        guard let attribute = attributes[name] else { return standard }
        guard let value = attribute.integer else { throw fault("its attribute \(name) is no number") }
        return try bounded(value, name)
    }

    func required(_ name: String) throws(ONNXFault) -> Int {
        if attributes[name] == nil { throw fault("its attribute \(name) is missing") }
        return try integer(name, 0)
    }

    func flag(_ name: String, _ standard: Bool = false) throws(ONNXFault) -> Bool {
        try integer(name, standard ? 1 : 0) != 0
    }

    func integers(_ name: String) throws(ONNXFault) -> [Int]? {
        guard let attribute = attributes[name] else { return nil }
        for value in attribute.integers { _ = try bounded(value, name) }
        return attribute.integers
    }

    private func bounded(_ value: Int, _ name: String) throws(ONNXFault) -> Int {
        // What stands for "to the end" in a slice is beyond it and has an input or an attribute of its own.
        if value > 1 << 31 || value < -(1 << 31) { throw fault("its attribute \(name) is \(value)") }
        return value
    }

    func float(_ name: String, _ standard: Float) throws(ONNXFault) -> Float {
        guard let attribute = attributes[name] else { return standard }
        guard let bits = attribute.float else { throw fault("its attribute \(name) is no float") }
        return Float(bitPattern: bits)
    }

    func string(_ name: String, _ standard: String) throws(ONNXFault) -> String {
        guard let attribute = attributes[name] else { return standard }
        guard let text = attribute.string else { throw fault("its attribute \(name) is no text") }
        return text
    }

    /// The same call with other operands.
    func with(_ inputs: [Operand?]) -> ONNXCall {
        ONNXCall(
            operation: operation, domain: domain, title: title, version: version, inputs: inputs,
            outputCount: outputCount, attributes: attributes, wantsOutput: wantsOutput)
    }

    /// An axis counted from the front.
    func axis(_ axis: Int, rank: Int) throws(ONNXFault) -> Int {
        guard axis >= -rank, axis < rank else { throw fault("its axis \(axis) is not one of \(rank)") }
        return axis < 0 ? axis + rank : axis
    }

    /// Axes counted from the front, in ascending order, each once.
    func axes(_ list: [Int], rank: Int) throws(ONNXFault) -> [Int] {
        var axes: [Int] = []
        for number in list { axes.append(try axis(number, rank: rank)) }
        if Set(axes).count != axes.count { throw fault("it names an axis twice") }
        return axes.sorted()
    }
}
