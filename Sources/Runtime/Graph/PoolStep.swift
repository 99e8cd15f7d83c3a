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

    func run(_ memory: StepMemory) { run(memory, 0..<windows.batch) }

    /// For some images of the batch.
    func run(_ memory: StepMemory, _ items: Range<Int>) {
        let images = SharedPointer(memory.pointer(windows.input))
        let out = SharedPointer(memory.base(self.out))
        let (channels, places) = (windows.channels, windows.places)
        let grain = max(1, 16384 / max(1, places))
        let parts = (channels + grain - 1) / grain
        let (read, written) = (together.input ? 0 : items.lowerBound, together.out ? 0 : items.lowerBound)
        memory.team.run(items.count * parts) { task, thread in
            let (item, top) = (task / parts, task % parts * grain)
            let bottom = Int32(min(channels, top + grain))
            var windows = self.windows.kernel
            let image = images.floats((read + item) * self.windows.apart)
            let result = out.floats((written + item) * channels * places)
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
