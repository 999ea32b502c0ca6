module dossier.invalid/tests/kubelet

go 1.24.0
