import Node
import Testing

struct TrainingFileTests {
    private static let least = """
        [data]
        text = "texts/a.txt"
        [output]
        folder = "/out"
        """

    @Test func whatIsNotSaidHasItsDefaultAndPathsAreTheFilesOwn() throws {
        let file = try TrainingFile.parse(Self.least, path: "/home/me/config.toml")
        #expect(file.text == "/home/me/texts/a.txt" && file.folder == "/out")
        #expect(file.width == 128 && file.steps == 200 && file.rate == 1e-3 && file.clip == nil && !file.isCosine)
        #expect(file.dropout == 0 && file.accumulate == 1)
    }

    @Test func everySettingIsRead() throws {
        let file = try TrainingFile.parse(
            """
            [model]
            vocabulary = 300
            width = 64
            layers = 2
            heads = 8
            context = 32
            [data]
            text = "a.txt"
            [training]
            steps = 7
            batch = 3
            rate = 0.01
            schedule = "cosine"
            warmup = 2
            least = 0.5
            beta1 = 0.8
            beta2 = 0.99
            epsilon = 1e-6
            weight_decay = 0
            clip = 1
            dropout = 0.2
            accumulate = 4
            seed = 9
            [output]
            folder = "run"
            checkpoint_every = 4
            """, path: "/x/config.toml")
        #expect(file.vocabulary == 300 && file.width == 64 && file.layers == 2 && file.heads == 8 && file.context == 32)
        #expect(file.steps == 7 && file.batch == 3 && file.rate == 0.01 && file.isCosine && file.warmup == 2)
        #expect(file.least == 0.5 && file.firstDecay == 0.8 && file.secondDecay == 0.99 && file.epsilon == 1e-6)
        #expect(file.weightDecay == 0 && file.clip == 1 && file.seed == 9)
        #expect(file.dropout == 0.2 && file.accumulate == 4)
        #expect(file.folder == "/x/run" && file.checkpointEvery == 4)
    }

    @Test func aFoldersModelHasItsOwnSizes() throws {
        let file = try TrainingFile.parse(
            """
            [model]
            folder = "models/tiny"
            context = 64
            [training]
            train_only = ["model.layers.1.*", "lm_head.weight"]
            freeze = ["*norm*"]
            """ + "\n" + Self.least, path: "/home/me/config.toml")
        #expect(file.model == "/home/me/models/tiny" && file.context == 64)
        #expect(file.trainOnly == ["model.layers.1.*", "lm_head.weight"] && file.freeze == ["*norm*"])
        let plain = try TrainingFile.parse(Self.least, path: "c.toml")
        #expect(plain.model == nil && plain.trainOnly.isEmpty && plain.freeze.isEmpty)
    }

    @Test func anONNXFileTakesExamples() throws {
        let text = """
            [model]
            file = "nets/a.onnx"
            output = "logits"
            [data]
            inputs = ["x=x.npy", "mask=m.npy"]
            classes = "labels.npy"
            [training]
            freeze = ["*bias"]
            [output]
            folder = "run"
            """
        let file = try TrainingFile.parse(text, path: "/home/me/config.toml")
        #expect(file.graph == "/home/me/nets/a.onnx" && file.model == nil && file.graphOutput == "logits")
        #expect(
            file.inputs == ["x=x.npy", "mask=m.npy"] && file.classes == "/home/me/labels.npy" && file.values == nil)
        #expect(file.freeze == ["*bias"])
        for (from, to, what) in [
            ("classes", "text", "is of a decoder"), ("file = \"nets/a.onnx\"\n", "", "name one as file"),
            ("classes = \"labels.npy\"\n", "", "one of them"),
            ("inputs = [\"x=x.npy\", \"mask=m.npy\"]\n", "", "data.inputs"),
            ("output = \"logits\"", "width = 4", "the file's own"),
            ("output = \"logits\"", "folder = \"b\"", "leave one out"),
        ] {
            let changed = text.replacing(from, with: to)
            #expect(changed != text)
            let fault = #expect(throws: ConfigurationFault.self) { try TrainingFile.parse(changed, path: "c.toml") }
            #expect("\(fault.map { "\($0)" } ?? "")".contains(what), "\(from)")
        }
    }

    @Test func roundsAreReadAndOtherwiseNotThere() throws {
        #expect(try TrainingFile.parse(Self.least, path: "c.toml").workers == nil)
        let rounds = "\n[rounds]\nworkers = 4\nsteps = 50\nouter_rate = 0.5\nouter_momentum = 0.8"
        let file = try TrainingFile.parse(Self.least + rounds, path: "c.toml")
        #expect(file.workers == 4 && file.roundSteps == 50 && file.rounds == 4)
        #expect(file.outerRate == 0.5 && file.outerMomentum == 0.8)
        let least = try TrainingFile.parse(Self.least + "\n[rounds]", path: "c.toml")
        #expect(least.workers == 3 && least.quorum == nil && least.patience == 60)
        let some = try TrainingFile.parse(Self.least + "\n[rounds]\nquorum = 2\npatience = 0", path: "c.toml")
        #expect(some.quorum == 2 && some.patience == 0)
    }

    @Test(arguments: [
        (
            "[rounds]\nworkers = 2\nquorum = 3",
            "line 7: \"rounds.quorum\" must be a whole number from 1 to 2"
        ),
        ("[rounds]\nsteps = 30", "line 6: \"rounds.steps\" must divide training.steps, which is 200"),
        (
            "[rounds]\nworkers = 2\n[training]\nschedule = \"cosine\"",
            "line 6: \"rounds.workers\" take the schedule \"constant\" alone: each round begins anew"
        ),
        (
            "[rounds]\nworkers = 2\n[training]\ndropout = 0.1",
            "line 6: \"rounds.workers\" take neither dropout nor accumulate: leave them out of [training]"
        ),
        (
            "[model]\nfolder = \"m\"\nwidth = 64",
            "line 7: \"model.width\" is the folder's own: leave it out, or the folder"
        ),
        (
            "[training]\nfreeze = [\"a\"]",
            "line 6: \"training.freeze\" is of a model with a folder or a file under [model]"
        ),
        ("[training]\ndropout = 1", "line 6: \"training.dropout\" must be a number from 0.0 to 0.99"),
        ("[training]\naccumulate = 65", "line 6: \"training.accumulate\" must be a whole number from 1 to 64"),
        ("[training]\nsteps = 0", "line 6: \"training.steps\" must be a whole number from 1 to 1000000"),
        ("[training]\nrate = \"fast\"", "line 6: \"training.rate\" must be a number from 0.0 to 1000.0"),
        ("[training]\nschedule = \"linear\"", "line 6: \"training.schedule\" must be \"constant\" or \"cosine\""),
        (
            "[model]\ndepth = 3",
            "line 6: \"model.depth\" is no setting that this version knows: remove it or correct its spelling"
        ),
    ])
    func aFaultNamesItsLineAndKey(_ more: String, _ expected: String) {
        #expect {
            try TrainingFile.parse(Self.least + "\n" + more, path: "config.toml")
        } throws: { "\($0)".contains(expected) }
    }
}
