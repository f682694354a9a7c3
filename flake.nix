{
  description = "Ringwarden: keeps a model that runs on several ranks serving, and says why when it does not";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "aarch64-darwin"
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = build: nixpkgs.lib.genAttrs systems (system: build (house system));

      # Nix runs what everybody runs: the wheels of the lock file, since nixpkgs cannot build MLX with Metal
      # (docs/adr/0007). The lock fixes every file by its hash and the tags below fix the choice among
      # them, so the folder of wheels has one hash for each system. When the lock changes, `nix build` names the new ones.
      lockHash = "142e9e14059cfda874b61648e41380b60a65fa7750fa7febcf9c54f7c048d628";
      wheels = {
        aarch64-darwin = {
          hash = "sha256-GWcVMffGE9U+Z/NQDUJMEXlGFdxrZkyD/h22lQZ7goI=";
          tags = [ "macosx_14_0_arm64" ];
        };
        x86_64-linux = {
          hash = "sha256-YxikekiTX71LSy/rki/CGlmp9BlN2gCNpJbRg34qF0I=";
          tags = map (tag: "${tag}_x86_64") manylinux;
        };
        aarch64-linux = {
          hash = "sha256-3GrW+NTJEKMscwyEDYgS03KuKZWWNv34RHSzKjUYNi0=";
          tags = map (tag: "${tag}_aarch64") manylinux;
        };
      };
      manylinux = [
        "manylinux_2_35"
        "manylinux_2_34"
        "manylinux_2_31"
        "manylinux_2_28"
        "manylinux_2_27"
        "manylinux_2_26"
        "manylinux_2_24"
        "manylinux_2_17"
        "manylinux2014"
        "manylinux_2_12"
        "manylinux2010"
        "manylinux_2_5"
        "manylinux1"
      ];

      house =
        system:
        let
          pkgs = nixpkgs.legacyPackages.${system};
          inherit (pkgs) lib;
          python = pkgs.python313;
          pip = python.withPackages (packages: [ packages.pip ]);
          wheel = wheels.${system};

          # The lock is part of the name: another lock is another folder, never an old one taken from the store.
          wheelFolder =
            pkgs.runCommand "ringwarden-wheels-${builtins.substring 0 12 lockHash}"
              {
                nativeBuildInputs = [
                  pip
                  pkgs.cacert
                ];
                impureEnvVars = lib.fetchers.proxyImpureEnvVars;
                outputHashMode = "recursive";
                outputHashAlgo = "sha256";
                outputHash = wheel.hash;
              }
              ''
                export HOME=$TMPDIR SSL_CERT_FILE=${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt
                python -m pip download --no-deps --only-binary :all: --require-hashes \
                  --requirement ${./requirements-dev.lock} --dest $out \
                  --implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none \
                  ${lib.concatMapStringsSep " " (tag: "--platform ${tag}") wheel.tags}
              '';

          # Python with everything of the lock, tools included. On Linux the wheels' programs and libraries are made
          # to use the store's loader and C++ library.
          environment = pkgs.stdenv.mkDerivation {
            name = "ringwarden-environment";
            dontUnpack = true;
            dontStrip = true;
            nativeBuildInputs = [ pip ] ++ lib.optional pkgs.stdenv.isLinux pkgs.autoPatchelfHook;
            buildInputs = lib.optionals pkgs.stdenv.isLinux [
              pkgs.stdenv.cc.cc.lib
              pkgs.zlib
            ];
            autoPatchelfIgnoreMissingDeps = true;
            installPhase = ''
              ${python}/bin/python -m venv --without-pip $out
              python -m pip --python $out/bin/python install --no-index --no-deps ${wheelFolder}/*.whl
            '';
          };

          application =
            pkgs.runCommand "ringwarden-application" { nativeBuildInputs = [ pip ]; }
              ''
                cp -r ${self} source && chmod -R u+w source
                python -m pip --python ${environment}/bin/python install --no-index --no-deps --no-build-isolation \
                  --target $out ./source
              '';

          ringwarden = pkgs.writeShellApplication {
            name = "ringwarden";
            text = ''
              export PYTHONPATH=${application}
              exec ${environment}/bin/python -m supervisor.cli "$@"
            '';
          };

          check =
            name: command:
            pkgs.runCommand "ringwarden-${name}" { nativeBuildInputs = [ environment ]; } ''
              export HOME=$TMPDIR
              cp -r ${self} source && chmod -R u+w source && cd source
              ${command}
              touch $out
            '';
        in
        {
          inherit pkgs environment ringwarden;
          checks = {
            lint = check "lint" "ruff format --check . && ruff check .";
            types = check "types" "basedpyright --pythonpath ${environment}/bin/python";
            tests = check "tests" "python -m pytest -m 'not mlx' -p no:cacheprovider";
          };
        };
    in
    {
      packages = forEachSystem (house: {
        default = house.ringwarden;
        inherit (house) environment ringwarden;
      });

      apps = forEachSystem (house: rec {
        ringwarden = {
          type = "app";
          program = "${house.ringwarden}/bin/ringwarden";
        };
        default = ringwarden;
      });

      devShells = forEachSystem (house: {
        default = house.pkgs.mkShell {
          packages = [
            house.environment
            house.pkgs.uv
          ];
          shellHook = ''
            echo "ringwarden: python -m supervisor.cli up, pytest, ruff, basedpyright are here; scripts/lock needs a network"
          '';
        };
      });

      checks = forEachSystem (house: house.checks);
    };
}
