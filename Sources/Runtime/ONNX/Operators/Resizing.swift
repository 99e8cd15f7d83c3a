internal import Programs

extension ONNXOperators {
    /// Other sizes of images and signals.
    static let resizing: Table = ["Resize": { try $0.resized($1) }]
}

extension ONNXLowering {
    /// Where an element of a resized axis comes from: sources and their weights.
    private struct Taps {
        var places: [[Int32]]
        var weights: [[Float]]
    }

    func resized(_ call: ONNXCall) throws(ONNXFault) -> [Operand] {
        let x = try call.input(0)
        let from = shape(x)
        let mode = try call.string("mode", "nearest")
        if try call.flag("antialias") { throw call.fault("antialiasing is not one of the forms that are taken") }
        guard ["nearest", "linear", "cubic"].contains(mode) else { throw call.fault("its mode is \(mode)") }
        var axes = Array(from.indices)
        if let list = try call.integers("axes") {
            axes = []
            for axis in list { axes.append(try call.axis(axis, rank: from.count)) }
            if Set(axes).count != axes.count { throw call.fault("it names an axis twice") }
        }
        var target = from
        var scales = from.map { _ in 1.0 }
        let hasSizes = call.optional(3).map { shape($0) != [0] } ?? false
        if hasSizes {
            let sizes = try integers(try call.input(3), call)
            guard sizes.count == axes.count, sizes.allSatisfy({ $0 >= 1 }) else {
                throw call.fault("its sizes are \(sizes)")
            }
            let policy = try call.string("keep_aspect_ratio_policy", "stretch")
            let ratios = axes.indices.map { Double(sizes[$0]) / Double(max(1, from[axes[$0]])) }
            guard ["stretch", "not_larger", "not_smaller"].contains(policy) else {
                throw call.fault("its policy is \(policy)")
            }
            for (place, axis) in axes.enumerated() {
                if policy == "stretch" {
                    (target[axis], scales[axis]) = (sizes[place], ratios[place])
                } else {
                    let ratio = (policy == "not_larger" ? ratios.min() : ratios.max()) ?? 1
                    scales[axis] = ratio
                    target[axis] = try size((ratio * Double(from[axis])).rounded(.toNearestOrAwayFromZero), call)
                }
            }
        } else {
            let factors = try floats(try call.input(2), call)
            guard factors.count == axes.count, factors.allSatisfy({ $0 > 0 && $0.isFinite }) else {
                throw call.fault("its scales are \(factors)")
            }
            for (place, axis) in axes.enumerated() {
                scales[axis] = Double(factors[place])
                target[axis] = try size((Double(from[axis]) * scales[axis]).rounded(.down), call)
            }
        }
        _ = try dimensions(target, call)
        var taps: [(axis: Int, taps: Taps)] = []
        for axis in axes where target[axis] != from[axis] || scales[axis] != 1 {
            if from[axis] < 1 { throw call.fault("it has nothing to resize") }
            try charge(target[axis], call)
            taps.append((axis, try self.taps(mode, from[axis], target[axis], scales[axis], call)))
        }
        if mode == "nearest" {
            // One element each: all axes at once, whatever the type.
            var coordinates = from.indices.map { Coordinate.axis(UInt8($0)) }
            for (axis, taps) in taps { coordinates[axis] = table(taps.places[0], axis: axis) }
            return [taps.isEmpty ? x : try gather(x, target, coordinates, call)]
        }
        guard element(x) == .f32 else { throw call.fault("it does not take \(element(x))") }
        var result = x
        for (axis, taps) in taps {
            var size = shape(result)
            size[axis] = target[axis]
            var total: Operand?
            for (places, weights) in zip(taps.places, taps.weights) {
                let coordinates = size.indices.map { $0 == axis ? table(places, axis: axis) : .axis(UInt8($0)) }
                let part = try gather(result, size, coordinates, call)
                let column = [weights.count] + size[(axis + 1)...].map { _ in 1 }
                let weight = Operand.constant(ConstantTensor(weights, shape: column))
                if let sum = total {
                    total = try map(.f32, [sum, part, weight], call) { e, n in _ = e.apply(.fma, n[1], n[2], n[0]) }
                } else {
                    total = try map(.f32, [part, weight], call) { e, n in _ = e.apply(.multiply, n[0], n[1]) }
                }
            }
            result = total ?? result
        }
        return [result]
    }

    private func size(_ number: Double, _ call: ONNXCall) throws(ONNXFault) -> Int {
        guard number >= 0, number < 0x1p40 else { throw call.fault("it makes an axis of \(number)") }
        return Int(number)
    }

    private func taps(
        _ mode: String, _ length: Int, _ target: Int, _ scale: Double, _ call: ONNXCall
    ) throws(ONNXFault) -> Taps {
        let transformation = try call.string("coordinate_transformation_mode", "half_pixel")
        let rounding = try call.string("nearest_mode", "round_prefer_floor")
        let cubic = Double(try call.float("cubic_coeff_a", -0.75))
        let excludes = try call.flag("exclude_outside")
        let count = mode == "nearest" ? 1 : mode == "linear" ? 2 : 4
        var taps = Taps(
            places: Array(repeating: [], count: count), weights: Array(repeating: [], count: count))
        // The size before it was cut to a whole number.
        let whole = scale * Double(length)
        for place in 0..<target {
            let x: Double
            switch transformation {
            case "half_pixel": x = (Double(place) + 0.5) / scale - 0.5
            case "asymmetric": x = Double(place) / scale
            case "align_corners":
                x = whole == 1 || target == 1 ? 0 : Double(place) * Double(length - 1) / (whole - 1)
            case "pytorch_half_pixel": x = target == 1 ? 0 : (Double(place) + 0.5) / scale - 0.5
            case "half_pixel_symmetric":
                let adjustment = Double(target) / whole
                let offset = Double(length) / 2 * (1 - adjustment)
                x = offset + (Double(place) + 0.5) / scale - 0.5
            default: throw call.fault("its coordinates are \(transformation)")
            }
            guard abs(x) < 0x1p40 else { throw call.fault("its scale is \(scale)") }
            func near(_ number: Int) -> Int32 { Int32(clamping: min(max(number, 0), length - 1)) }
            let floor = x.rounded(.down)
            switch mode {
            case "nearest":
                let chosen: Double
                switch rounding {
                case "round_prefer_floor": chosen = x - floor == 0.5 ? floor : x.rounded()
                case "round_prefer_ceil": chosen = x - floor == 0.5 ? floor + 1 : x.rounded()
                case "floor": chosen = floor
                case "ceil": chosen = x.rounded(.up)
                default: throw call.fault("its rounding is \(rounding)")
                }
                taps.places[0].append(near(Int(chosen)))
                taps.weights[0].append(1)
            case "linear":
                let ratio = x - floor
                for (tap, weight) in [(0, 1 - ratio), (1, ratio)] {
                    taps.places[tap].append(near(Int(floor) + tap))
                    taps.weights[tap].append(Float(weight))
                }
            default:
                let ratio = x - floor
                var weights = (0..<4).map { tap -> Double in
                    let distance = abs(ratio + 1 - Double(tap))
                    let (square, cube) = (distance * distance, distance * distance * distance)
                    if distance <= 1 { return (cubic + 2) * cube - (cubic + 3) * square + 1 }
                    return cubic * cube - 5 * cubic * square + 8 * cubic * distance - 4 * cubic
                }
                if excludes {
                    for tap in 0..<4 where !(0..<length).contains(Int(floor) - 1 + tap) { weights[tap] = 0 }
                    let sum = weights.reduce(0, +)
                    weights = weights.map { $0 / sum }
                }
                for tap in 0..<4 {
                    taps.places[tap].append(near(Int(floor) - 1 + tap))
                    taps.weights[tap].append(Float(weights[tap]))
                }
            }
        }
        return taps
    }
}
