public import Programs

/// A model read from a folder to be run on this machine; its weights stay mapped from their file.
public struct LocalModel: Sendable {
    public let imported: ImportedModel
    /// The program that the network would run: what the digest and the price are of.
    public let program: Program
    /// How long reading and checking took.
    public let readingTime: Duration

    /// Imports the folder.
    public init(folder: String) throws(RunFault) {
        let start = ContinuousClock.now
        do throws(ImportFault) { imported = try ModelImporter.importFolder(folder) } catch { throw .model(error) }
        do throws(ProgramFault) { program = try imported.program() } catch { throw .program(error) }
        readingTime = ContinuousClock.now - start
    }

    /// How many numbers the weights are.
    public var parameterCount: Int { imported.parameters.reduce(0) { $0 + $1.elementCount } }

    /// Packs the weights for a program of this model.
    func prepare(_ program: SpecialisedProgram) throws(RunFault) -> PreparedModel {
        // Each pointer leaves its call: the parameters, kept as owners, hold the memory.
        let weights = imported.parameters.map { parameter in parameter.withBytes { $0 } }
        do throws(ExecutionFault) {
            return try PreparedModel(program: program, parameters: weights, owners: imported.parameters)
        } catch { throw .execution(error) }
    }

    /// The same for a program of other weights.
    func prepare(_ program: SpecialisedProgram, _ weights: [StoredParameter]) throws(RunFault) -> PreparedModel {
        do throws(ExecutionFault) {
            return try PreparedModel(program: program, parameters: weights.map(\.bytes), owners: weights)
        } catch { throw .execution(error) }
    }
}
