internal import CKernels
internal import Programs

/// The greatest element of each window of each channel, or the sum of all.
struct PoolStep: Sendable {
    /// [batch, channels, rows, columns], row-major.
    let out: ValueID
    let windows: ImageWindows
    let isSum: Bool
    var together = TogetherPlaces()
    let variant: KernelVariant

    /// Bytes for each thread.
    var scratch: Int {
        var windows = windows.kernel
        return isSum ? pk_channel_scratch(variant.code, &windows) * 4 + 64 : 0
    }

    func run(_ memory: StepMemory) { run(memory, ImagesAtOnce(items: 0..<windows.batch)) }

    /// For some images of the batch.
    func run(_ memory: StepMemory, _ some: ImagesAtOnce) {
        let images = SharedPointer(memory.pointer(windows.input))
        let out = SharedPointer(memory.base(self.out))
        let (channels, places) = (windows.channels, windows.places)
        let grain = max(1, 16384 / max(1, places))
        let parts = (channels + grain - 1) / grain
        memory.team.run(some.items.count * parts) { task, thread in
            let (item, top) = (task / parts, task % parts * grain)
            let bottom = Int32(min(channels, top + grain))
            var windows = self.windows.kernel
            let image = images.floats(some.floats(before: item, together.input, apart: self.windows.apart))
            let result = out.floats(some.floats(before: item, together.out, apart: channels * places))
            if isSum {
                pk_window_sum_f32(
                    variant.code, &windows, image, Int32(top), bottom, result, places,
                    memory.scratch(thread).assumingMemoryBound(to: Float.self))
            } else {
                pk_maximum_pool_f32(variant.code, &windows, image, Int32(top), bottom, result, places)
            }
        }
    }
}
