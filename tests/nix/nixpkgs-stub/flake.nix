{
  description = "Just enough of nixpkgs to evaluate Ringwarden's flake without a network; nothing here can be built";

  outputs =
    { self }:
    let
      lib = {
        genAttrs = names: value: builtins.listToAttrs (map (name: { inherit name; value = value name; }) names);
        optional = condition: value: if condition then [ value ] else [ ];
        optionals = condition: values: if condition then values else [ ];
        concatMapStringsSep = separator: write: values: builtins.concatStringsSep separator (map write values);
        fetchers.proxyImpureEnvVars = [ "https_proxy" ];
      };

      packagesOf =
        system:
        let
          # A derivation of the right shape that depends on what it is made from, so that all of it is evaluated.
          stub =
            name: from:
            derivation {
              inherit name system;
              builder = "/bin/sh";
              from = builtins.toJSON from;
            };
          isLinux = builtins.match ".*-linux" system != null;
        in
        {
          inherit lib;
          python313 = stub "python3" { } // {
            withPackages = choose: stub "python3-env" (choose { pip = stub "pip" { }; });
          };
          cacert = stub "cacert" { };
          uv = stub "uv" { };
          zlib = stub "zlib" { };
          autoPatchelfHook = stub "auto-patchelf-hook" { };
          runCommand = name: attributes: script: stub name { inherit attributes script; };
          writeShellApplication = { name, text }: stub name text;
          mkShell = attributes: stub "shell" attributes;
          stdenv = {
            inherit isLinux;
            cc.cc.lib = stub "gcc-lib" { };
            mkDerivation = attributes: stub attributes.name attributes;
          };
        };
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [ "aarch64-darwin" "x86_64-linux" "aarch64-linux" ] packagesOf;
    };
}
