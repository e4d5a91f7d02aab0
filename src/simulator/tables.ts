import { isTableId, type TableId } from '../roulette/table.ts';

export interface KnownTable {
  readonly id: TableId;
  readonly name: string;
}

/** The live tables that RunCash's scrapers read. One name stands for two tables, as in the field. */
const TABLES: readonly (readonly [id: string, name: string])[] = [
  ['2010011', 'Deutsches Roulette'],
  ['2010012', 'American Roulette'],
  ['2010016', 'Immersive Roulette'],
  ['2010017', 'Ruleta Automática'],
  ['2010031', 'Jawhara Roulette'],
  ['2010033', 'Lightning Roulette'],
  ['2010045', 'Ruleta en Vivo'],
  ['2010048', 'Dansk Roulette'],
  ['2010049', 'Ruletka Live'],
  ['2010059', 'Bucharest Roulette'],
  ['2010065', 'Bucharest Auto-Roulette'],
  ['2010096', 'Speed Auto Roulette'],
  ['2010097', 'VIP Roulette'],
  ['2010098', 'Auto-Roulette VIP'],
  ['2010099', 'Football Studio Roulette'],
  ['2010100', 'Venezia Roulette'],
  ['2010106', 'Türkçe Rulet'],
  ['2010108', 'Dragonara Roulette'],
  ['2010110', 'Hippodrome Grand Casino'],
  ['2010143', 'Ruleta Relámpago en Vivo'],
  ['2010165', 'Roulette'],
  ['2010170', 'Lightning Roulette Italia'],
  ['2010336', 'Türkçe Lightning Rulet'],
  ['2010440', 'XXXtreme Lightning Roulette'],
  ['2010565', 'Gold Vault Roulette'],
  ['2380010', 'Speed Roulette 1'],
  ['2380032', 'Russian Roulette'],
  ['2380033', 'German Roulette'],
  ['2380034', 'Roulette Italia Tricolore'],
  ['2380038', 'Roulette Macao'],
  ['2380039', 'Turkish Roulette'],
  ['2380049', 'Mega Roulette'],
  ['2380064', 'Roulette 1'],
  ['2380117', 'VIP Roulette'],
  ['2380159', 'Romanian Roulette'],
  ['2380335', 'Brazilian Mega Roulette'],
  ['2380346', 'VIP Auto Roulette'],
  ['2380373', 'Fortune Roulette'],
  ['2380390', 'Immersive Roulette Deluxe'],
];

export const KNOWN_TABLES: readonly KnownTable[] = TABLES.flatMap(([id, name]) =>
  isTableId(id) ? [{ id, name }] : [],
);
