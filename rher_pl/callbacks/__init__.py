"""Lightning callbacks: what is recorded, shown, saved and guarded while a run goes on."""
