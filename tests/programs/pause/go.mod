module dossier.test/pause

go 1.21
