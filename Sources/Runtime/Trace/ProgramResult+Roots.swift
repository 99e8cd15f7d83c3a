public import Primitives
public import Programs

extension ProgramResult {
    /// Over the outputs of every step: what a result commitment names.
    public var outputRoot: Digest { ResultRoots.outputRoot(outputs.map { $0.map(\.root) }) }

    /// Over the carried tensors that the program keeps, as they are at the end.
    public func stateRoot(of program: SpecialisedProgram) -> Digest {
        ResultRoots.stateRoot(program.kept.map { carried[Int($0)].root })
    }
}
