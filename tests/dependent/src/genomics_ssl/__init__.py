"""DNA for hf_ssl: `--modality genomics_ssl.dna:Dna --objective genomics_ssl.order:WindowOrder --task genomics_ssl.rare:RareClass`."""
